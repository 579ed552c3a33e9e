
// The SDK takes messages from Discord's own addresses, from its page's own, and from frames that have none, as this one. So it stands between the page around it, which plays Discord's
// client, and the Activity, and passes on what each says.
'use strict';
const [activity] = document.getElementsByTagName('iframe');
addEventListener('message', (event) => {
  if (event.source === parent) activity.contentWindow.postMessage(event.data, '*');
  else if (event.source === activity.contentWindow) parent.postMessage(event.data, '*');
});
