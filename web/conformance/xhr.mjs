/** As much of XMLHttpRequest as phoenix.js 1.7 needs for long poll, which Node lacks; by fetch. */
export class XMLHttpRequest {
  readyState = 0;
  responseText = "";
  timeout = 0;
  onerror = () => undefined;
  ontimeout = () => undefined;
  onreadystatechange = () => undefined;
  #headers = {};
  #abort = new AbortController();

  open(method, url) {
    Object.assign(this, { method, url });
  }

  setRequestHeader(name, value) {
    this.#headers[name] = value;
  }

  abort() {
    this.#abort.abort();
  }

  async send(body) {
    let late = false;
    const timer =
      this.timeout > 0 &&
      setTimeout(() => {
        late = true;
        this.abort();
      }, this.timeout);
    try {
      const response = await fetch(this.url, {
        method: this.method,
        headers: this.#headers,
        signal: this.#abort.signal,
        ...(body ? { body } : {}),
      });
      this.responseText = await response.text();
    } catch {
      if (late) this.ontimeout();
      else if (!this.#abort.signal.aborted) this.onerror();
      return;
    } finally {
      clearTimeout(timer);
    }
    this.readyState = 4;
    this.onreadystatechange();
  }
}
