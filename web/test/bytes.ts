/** Builds messages byte by byte, as the server would. */

export class Bytes {
  readonly #bytes: number[] = [];

  u8(...values: number[]): this {
    this.#bytes.push(...values);
    return this;
  }

  u16(...values: number[]): this {
    for (const value of values) this.u8(value & 255, value >> 8);
    return this;
  }

  u32(value: number): this {
    return this.u16(value & 0xffff, value >>> 16);
  }

  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  text(text: string): this {
    return this.u8(...new TextEncoder().encode(text));
  }

  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

/** The header of a message with so many rows. */
export const header = (magic: string, frequency: number, since: number, tick: number, rows: number): Bytes =>
  new Bytes().text(magic).u32(frequency).u64(since).u64(tick).u32(rows);
