/** Making a conversation, however long the server is away; an answer that is lost makes no second one. */

import { Unreachable } from "./api.js";
import { newId } from "./turns.js";

/** Return what the server made of some fields; `renewed` waits for a new socket. */
export async function newConversation(api, fields, renewed) {
  const key = newId("key");
  for (;;) {
    try {
      return await api.createConversation(fields, key);
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      await renewed();
    }
  }
}
