// Why a portal lets nobody in, for people. Its own words are for who writes programs.

const REASONS = {
  token_expired: (anew) => `This link has expired. ${anew}`,
  bad_token: (anew) => `The portal does not accept this link. ${anew}`,
  other_role: (anew) => `This link is made for something else. ${anew}`,
  other_portal: (anew) => `This link is for another portal. ${anew}`,
  stopped: () => 'A moderator has ended this for you. Ask a moderator to allow it again.',
  no_portal: () => 'The portal is not open. This page goes on by itself when somebody opens it.',
  portal_full: () => 'The portal is full. This page goes on by itself when somebody leaves.',
  token_in_use: () => 'This link is open too often. Close it in other tabs and on other devices; this page goes on by itself then.',
  too_many_of_yours: () => 'You are here as often as one may be. Close this page in other tabs and on other devices; this page goes on by itself then.',
  too_many_peers: () => 'Too many are here from your network. This page goes on by itself when one leaves.',
  too_often: () => 'That was too often in a short time. This page tries again by itself.',
  unavailable: () => 'The portal has too much to do just now. This page tries again by itself.',
};

/** Whether the link will do no more, whatever happens. */
export const spent = ({ error }) => ['token_expired', 'bad_token', 'other_role', 'other_portal'].includes(error);

/** `error` and `message` are the portal's; `anew` says how to come by another link. */
export function reason({ error, message }, anew) {
  return REASONS[error]?.(anew) ?? message ?? '';
}
