/** What a decoder returns: decoding never throws. */
export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError };

export type WireErrorCode =
  /** The bytes end before what they announce. */
  | "truncated"
  /** There are more bytes than announced. */
  | "trailing"
  /** A field has a value that the format does not know. */
  | "invalid"
  /** A row or column is not on the sphere. */
  | "out_of_range";

/** Why bytes or a reply of the server were refused. */
export interface WireError {
  readonly code: WireErrorCode;
  /** What was read, and what it was instead. */
  readonly message: string;
  /** Where in the bytes. */
  readonly offset?: number;
}

export const success = <T>(value: T): Result<T> => ({ ok: true, value });

export const failure = (code: WireErrorCode, message: string, offset?: number): Result<never> => ({
  ok: false,
  error: offset === undefined ? { code, message } : { code, message, offset },
});
