export { DiscordSDK, Events } from '@discord/embedded-app-sdk';
