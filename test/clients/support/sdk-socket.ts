import type OpenAI from "openai";
import type { Response, ResponsesClientEvent, ResponsesServerEvent } from "openai/resources/responses/responses";
import { ResponsesWS } from "openai/resources/responses/ws";
import { onTestFinished } from "vitest";

type Create = Omit<ResponsesClientEvent & { type: "response.create" }, "type">;

/** The SDK's socket, one turn after another, for the time of a test. */
export class SdkSocket {
  readonly socket: ResponsesWS;
  readonly #messages: ReturnType<ResponsesWS["stream"]>;

  constructor(client: OpenAI, options?: ConstructorParameters<typeof ResponsesWS>[1]) {
    this.socket = new ResponsesWS(client, options);
    // Whoever waits for an event gets the error there.
    this.socket.on("error", () => undefined);
    this.#messages = this.socket.stream();
    onTestFinished(() => this.socket.close());
  }

  /** Resolves with the events to the end of a turn, an error included. */
  async turn(request: Create): Promise<readonly ResponsesServerEvent[]> {
    this.socket.send({ type: "response.create", ...request });
    const events: ResponsesServerEvent[] = [];
    for (;;) {
      const { done, value } = await this.#messages.next();
      if (done) throw new Error("the connection ended before the turn");
      // An error without an event is about the connection, which the SDK opens again.
      const event = value.type === "message" ? value.message : value.type === "error" ? value.error.error : undefined;
      if (event === undefined) continue;
      events.push(event);
      if (/^(error|response\.(completed|failed|incomplete))$/.test(event.type)) return events;
    }
  }

  /** The response of a turn, however it ends. */
  async end(request: Create): Promise<Response> {
    const last = (await this.turn(request)).at(-1);
    if (last === undefined || !("response" in last)) throw new Error(`the turn ended with ${JSON.stringify(last)}`);
    return last.response;
  }

  /** The response of a turn that completes. */
  async take(request: Create): Promise<Response> {
    const response = await this.end(request);
    if (response.status !== "completed") throw new Error(`the turn ended with ${JSON.stringify(response.error)}`);
    return response;
  }
}

export const LIMITS = { maxLanes: 32, maxBufferedEvents: 10_000, maxBufferedBytes: 1024 * 1024 };

/** Resolves when the socket can be used: lanes do not wait for it by themselves. */
export async function opened({ socket }: ResponsesWS): Promise<void> {
  if (socket.readyState === 1) return;
  await new Promise<void>((resolve) => {
    socket.once("open", () => resolve());
  });
}

/** The text of a response, which the SDK only joins where it reads HTTP. */
export function textOf(response: Response | undefined): string {
  const parts = response?.output.flatMap((item) => (item.type === "message" ? item.content : [])) ?? [];
  return parts.map((part) => (part.type === "output_text" ? part.text : "")).join("");
}
