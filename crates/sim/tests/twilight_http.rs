//! twilight-http's own client, behind `.proxy`: its strict types judge what discord-sim answers, and its limiter the headers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use support::Discord;
use twilight_http::Client;
use twilight_http::error::ErrorType;
use twilight_model::channel::message::MessageFlags;
use twilight_model::id::Id;

fn client(discord: &Discord) -> Client {
    let info = discord.info();
    let host = info.api.strip_prefix("http://").unwrap();
    let host = host.strip_suffix("/api/v10").unwrap();
    Client::builder()
        .token(info.token.clone())
        .proxy(host.into(), true)
        .build()
}

#[tokio::test]
async fn the_life_of_a_message() {
    let discord = Discord::start().await;
    let client = client(&discord);
    let me = client.current_user().await.unwrap().model().await.unwrap();
    assert!(me.bot);
    assert_eq!(me.id.to_string(), discord.info().application_id);

    let channel = Id::new(discord.channel("announcements").parse().unwrap());
    let posted = client
        .create_message(channel)
        .content("hello")
        .flags(MessageFlags::SUPPRESS_NOTIFICATIONS)
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert_eq!(
        (posted.author.id, posted.content.as_str()),
        (me.id, "hello")
    );
    let edited = client
        .update_message(channel, posted.id)
        .content(Some("hello again"))
        .await
        .unwrap()
        .model()
        .await
        .unwrap();
    assert!(edited.edited_timestamp.is_some());
    let published = client.crosspost_message(channel, posted.id).await.unwrap();
    let published = published.model().await.unwrap();
    assert!(published.flags.unwrap().contains(MessageFlags::CROSSPOSTED));
    let history = client.channel_messages(channel).limit(5).await.unwrap();
    let history = history.models().await.unwrap();
    assert_eq!(history[0].content, "hello again");

    client.delete_message(channel, posted.id).await.unwrap();
    let error = client.delete_message(channel, posted.id).await.unwrap_err();
    let ErrorType::Response { error, status, .. } = error.kind() else {
        panic!("{error:?}")
    };
    assert_eq!(status.get(), 404);
    assert!(error.to_string().contains("10008"), "{error}");
}

#[tokio::test]
async fn a_guild_its_channels_and_the_gateway() {
    let discord = Discord::start().await;
    let client = client(&discord);
    let guild = Id::new(discord.info().guild_id.parse().unwrap());
    let guild = client.guild(guild).await.unwrap().model().await.unwrap();
    assert_eq!(guild.id.to_string(), discord.info().guild_id);
    let channel = Id::new(discord.channel("general").parse().unwrap());
    let channel = client.channel(channel).await.unwrap();
    assert_eq!(channel.model().await.unwrap().name.unwrap(), "general");
    let gateway = client.gateway().authed().await.unwrap();
    let gateway = gateway.model().await.unwrap();
    assert!(gateway.session_start_limit.remaining > 0);
}

#[tokio::test]
async fn it_understands_a_429() {
    let discord = Discord::start().await;
    let client = client(&discord);
    let channel = Id::new(discord.channel("builds").parse().unwrap());
    // It learns from 429s only. One whose headers it cannot read it repeats at once, again and again.
    for _ in 0..12 {
        client.create_message(channel).content("x").await.unwrap();
    }
    let limits = discord.seen("/limits").await;
    let too_early = limits["too_early"].as_u64().unwrap();
    assert!((1..=4).contains(&too_early), "{limits}");
}
