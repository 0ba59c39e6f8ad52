import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Conversations } from "../core/conversations.ts";
import { listed } from "../core/input-items.ts";
import type { Tenant } from "../core/ports.ts";
import {
  type ConversationDeleted,
  parseConversationItems,
  parseConversationUpdate,
  parseNewConversation,
} from "../protocol/conversation.ts";
import { conversationItemNotFound } from "../protocol/errors.ts";
import { parseBody } from "./body.ts";
import type { TransportContext } from "./context.ts";
import { pageOf, parsePageQuery } from "./cursor-page.ts";
import { leaseOf } from "./request-memory.ts";
import { resource } from "./routes.ts";

/** Conversations and their items, below the prefix of the API. */
export function serveConversations(api: FastifyInstance, { engine, limits }: TransportContext): void {
  const mine = (request: FastifyRequest): Conversations =>
    engine.conversations(request.getDecorator<Tenant>("tenant"), leaseOf(request));

  resource(api, "/conversations", {
    POST: async (request) => {
      const isEmpty = !Buffer.isBuffer(request.body) || request.body.length === 0;
      return mine(request).create(parseNewConversation(isEmpty ? undefined : await parseBody(request.body, limits)));
    },
  });
  resource(api, "/conversations/:id", {
    GET: (request) => mine(request).get(named(request).id),
    POST: async (request) => {
      const metadata = parseConversationUpdate(await parseBody(request.body, limits));
      return mine(request).update(named(request).id, metadata);
    },
    DELETE: async (request): Promise<ConversationDeleted> => {
      const { id } = named(request);
      await mine(request).delete(id);
      return { id, object: "conversation.deleted", deleted: true };
    },
  });
  resource(api, "/conversations/:id/items", {
    GET: async (request) => {
      const query = parsePageQuery(request.query);
      return pageOf(await mine(request).items(named(request).id), query, listed);
    },
    POST: async (request) => {
      const items = parseConversationItems(await parseBody(request.body, limits));
      const added = await mine(request).add(named(request).id, items);
      return pageOf(added, { limit: added.length, order: "asc", after: null, before: null }, listed);
    },
  });
  resource(api, "/conversations/:id/items/:item", {
    GET: async (request) => {
      const { id, item } = named(request);
      const found = (await mine(request).items(id)).find((each) => each.id === item);
      if (found === undefined) throw conversationItemNotFound(item);
      return listed(found);
    },
    DELETE: async (request) => {
      const { id, item } = named(request);
      return mine(request).remove(id, item);
    },
  });
}

function named(request: FastifyRequest): { readonly id: string; readonly item: string } {
  return request.params as { readonly id: string; readonly item: string };
}
