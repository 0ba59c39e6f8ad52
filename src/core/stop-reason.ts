import { ApiError, leaseLost } from "../protocol/errors.ts";

/** Why a turn is stopped from outside. The last three end it in good order: what it has is committed. */
export type StopReason =
  | "client_left"
  | "shutting_down"
  | "connection_limit"
  | "lease_lost"
  | "interrupted"
  | "steered"
  | "cancelled";

export type CutReason = Extract<StopReason, "interrupted" | "steered" | "cancelled">;

/** The reason, when it is one that ends a response in good order. */
export function cutBy(reason: StopReason): CutReason | null {
  return reason === "interrupted" || reason === "steered" || reason === "cancelled" ? reason : null;
}

/** What the client is told of a stop that has a reason of its own to give. */
export function errorOfStop(reason: StopReason): ApiError | null {
  if (reason === "shutting_down") {
    const message = "The server is shutting down. Send this request again, to another server or in a moment.";
    return new ApiError("server_shutting_down", message, { retryAfter: 1 });
  }
  if (reason === "connection_limit") {
    const message = "The connection has reached its age limit. Send this request again on a new connection.";
    return new ApiError("websocket_connection_limit_reached", message);
  }
  return reason === "lease_lost" ? leaseLost() : null;
}
