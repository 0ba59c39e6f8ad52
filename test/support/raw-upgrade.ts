import { request } from "node:http";

export type UpgradeAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly json: unknown;
};

/** Asks for a WebSocket by hand, to see the answer of a server that declines. */
export function rawUpgrade(
  url: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    const handshake = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    const call = request(url + path, { headers: { ...handshake, ...headers } });
    call.on("error", reject);
    call.on("upgrade", (answer, socket) => {
      socket.destroy();
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, json: null });
    });
    call.on("response", (answer) => {
      answer.setEncoding("utf8");
      let text = "";
      answer.on("data", (chunk: string) => (text += chunk));
      answer.on("end", () => {
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          json: text === "" ? null : JSON.parse(text),
        });
      });
    });
    call.end();
  });
}
