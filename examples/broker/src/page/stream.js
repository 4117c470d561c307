// Follows the events of the broker, and begins anew when they stop.

/** The broker sends figures once a second. After so long without any, the connection is dead. */
const SILENCE_MS = 6_000;
const RETRY_MS = 1_000;

/**
 * Calls the handler of each event with its data, and `onState` with whether the broker is heard.
 * A browser tries again by itself after some failures only, so this does it after all of them.
 */
export function follow(url, handlers, onState) {
  let silence;

  function connect() {
    const source = new EventSource(url);
    const lose = () => {
      clearTimeout(silence);
      source.close();
      onState(false);
      setTimeout(connect, RETRY_MS);
    };
    const hear = () => {
      clearTimeout(silence);
      silence = setTimeout(lose, SILENCE_MS);
    };
    source.onerror = lose;
    source.onopen = () => {
      hear();
      onState(true);
    };
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        hear();
        handle(JSON.parse(event.data));
      });
    }
  }

  connect();
}
