/** How fast a growing number grows, over the last few seconds. */
export class Rate {
  readonly #windowMs: number;
  readonly #samples: { at: number; value: number }[] = [];

  constructor(windowMs = 3_000) {
    this.#windowMs = windowMs;
  }

  /** Takes the value at a time in ms; a value that fell starts anew. */
  sample(at: number, value: number): void {
    const last = this.#samples.at(-1);
    if (last && value < last.value) this.reset();
    this.#samples.push({ at, value });
    while (this.#samples.length > 2 && this.#samples[1]!.at <= at - this.#windowMs) this.#samples.shift();
  }

  /** Growth per second as seen at a time in ms; undefined until half a second was seen. */
  perSecond(now: number): number | undefined {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last) return undefined;
    // Once nothing has come for a second, the silence counts too.
    const until = now - last.at > 1_000 ? now : last.at;
    return until - first.at < 500 ? undefined : ((last.value - first.value) * 1_000) / (until - first.at);
  }

  reset(): void {
    this.#samples.length = 0;
  }
}
