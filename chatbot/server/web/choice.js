/** Who the user chose to answer in a chat. It counts at once, and is told to the server until that has heard it. */

import { Unreachable } from "./api.js";

export function choose(sheet, model) {
  Object.assign(sheet, { model, chosen: model });
}

/** Say who answers, as the server knows it, unless it has not heard yet who was chosen. */
export function learn(sheet, model) {
  sheet.model = sheet.chosen === undefined ? model : sheet.chosen;
}

/** The chat was made: what was chosen before need not be told. */
export function heard(sheet, model) {
  if (sheet.chosen === model) delete sheet.chosen;
}

/** Tell the server what it has not heard, and return the conversation; nobody may be there, and then it stays to be told. */
export async function tellChoice(api, sheet, onFault) {
  const { chosen } = sheet;
  if (chosen === undefined) return null;
  const body = await api.changeConversation(sheet.id, { model: chosen }).catch((error) => {
    onFault(error);
    return error instanceof Unreachable || error.status === 401 ? null : {};
  });
  if (body) heard(sheet, chosen);
  return body?.id ? body : null;
}
