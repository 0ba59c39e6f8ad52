import type { ServerEvent, Stub } from "../protocol/events.ts";
import { isCompactionTrigger, type Item, awaitsOutput } from "../protocol/items.ts";
import type { Response } from "../protocol/response.ts";
import type { SteerRequest } from "../protocol/steer.ts";
import { EVENT, type SteerErrorCode } from "../protocol/table.ts";
import type { Turn } from "./turn.ts";

/** Steering input that was taken. */
type Steer = { readonly id: string; readonly input: unknown; readonly items: readonly Item[] };

const MESSAGE: { readonly [Code in SteerErrorCode]: string } = {
  response_not_found: "The response to steer is not known on this connection.",
  invalid_input: "Steering input must be a string or a list of user messages, and nothing else may come with it.",
  steering_not_supported: "This response cannot be steered.",
  too_many_pending_steers: "This response already holds as much steering input as it may.",
  response_already_completed: "This response has already completed. Send the input with response.create.",
  response_not_active: "This response takes no more input. Send the input with response.create.",
  successor_creation_failed:
    "We couldn't start the next response. Send this steering input again with response.create.",
};

/**
 * The steers of one response, from their acceptance until they are applied or given back. They are applied as the first
 * input of what continues the response; whatever becomes of them, the client is told under the number of that response.
 */
export class Steers {
  readonly #target: Turn;
  #steers: Steer[] = [];

  constructor(target: Turn) {
    this.#target = target;
  }

  get target(): Turn {
    return this.#target;
  }

  get count(): number {
    return this.#steers.length;
  }

  /** What the continuation begins with. */
  get items(): readonly Item[] {
    return this.#steers.flatMap((steer) => steer.items);
  }

  /** Why the response takes no more; null while it does. */
  whyNot(limit: number): SteerErrorCode | null {
    const { terminal, request, isSteerable } = this.#target;
    if (terminal !== null) return whyOver(terminal.response);
    const compacts = request.compaction !== null || isCompactionTrigger(request.input.at(-1));
    if (compacts || request.conversation !== null) return "steering_not_supported";
    if (this.count >= limit) return "too_many_pending_steers";
    return isSteerable ? null : "response_not_active";
  }

  accept(id: string, request: SteerRequest, items: readonly Item[]): void {
    this.#steers.push({ id, input: request.input, items });
    const steer = { id, previous_response_id: this.#target.responseId };
    this.#target.aside((sequence_number) => ({ type: EVENT.steerAccepted, sequence_number, steer }));
  }

  /** Tells, once per steer, what the client has to bring before they can be applied. */
  announcePending(): void {
    const required_input = stubs(this.#target.terminal?.response.output ?? []);
    const reason = "waiting_for_required_input";
    for (const { id } of this.#steers) {
      const steer = { id, previous_response_id: this.#target.responseId };
      this.#target.aside((sequence_number) => ({
        type: EVENT.steerPending,
        sequence_number,
        steer,
        reason,
        required_input,
      }));
    }
  }

  /** Gives every steer back. */
  giveBack(): void {
    const steers = this.#steers;
    this.#steers = [];
    for (const { id, input } of steers) {
      const steer = { id, previous_response_id: this.#target.responseId, input };
      this.#target.aside((number) => steerFailed(number, steer, "successor_creation_failed"));
    }
  }
}

/** The answer to a steer that is not taken, or that is given back. */
export function steerFailed(
  sequenceNumber: number,
  steer: { readonly id?: string; readonly previous_response_id: string; readonly input: unknown },
  code: SteerErrorCode,
): ServerEvent {
  const error = { type: "invalid_request_error", code, message: MESSAGE[code] } as const;
  return { type: EVENT.steerFailed, sequence_number: sequenceNumber, steer, error };
}

/** Why a response that has ended takes no steers. */
export function whyOver(response: Response): SteerErrorCode {
  return response.status === "completed" ? "response_already_completed" : "response_not_active";
}

/** Whether the response waits for tool outputs of the client. */
export function awaitsClient(output: readonly Item[]): boolean {
  return output.some(awaitsOutput);
}

function stubs(output: readonly Item[]): readonly Stub[] {
  return output
    .filter(awaitsOutput)
    .map((call) =>
      call.type === "function_call"
        ? { type: "function_call_output", call_id: call.call_id, name: call.name }
        : { type: "custom_tool_call_output", call_id: call.call_id },
    );
}
