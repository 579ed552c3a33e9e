//! Sessions of songbird, by its driver, as a user of it would write it: default settings but for what is received, which is
//! decrypted and not decoded.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bench_voice::{Args, Error, FRAME, JOINING, Order, held, opus, orders};
use songbird::driver::Driver;
use songbird::id::{ChannelId, GuildId, UserId};
use songbird::{Config, ConnectionInfo};
use tokio::task::JoinSet;

/// Half an hour: more than it plays.
const FRAMES_PLAYED: usize = 30 * 60 * 50;

static FRAMES: AtomicU64 = AtomicU64::new(0);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let args = Arc::new(Args::parse()?);
    let mut drivers: Vec<Driver> = Vec::new();
    let mut speaking = false;
    let mut orders = orders();
    println!("ready");
    while let Some(order) = orders.recv().await {
        match order {
            Order::Sessions(count) => {
                for mut driver in drivers.drain(count.min(drivers.len())..) {
                    driver.leave();
                }
                let mut joining = JoinSet::new();
                let first = drivers.len();
                for number in first..count {
                    if joining.len() >= JOINING
                        && let Some(driver) = joining.join_next().await
                    {
                        drivers.push(driver??);
                    }
                    joining.spawn(join(Arc::clone(&args), number as u64));
                }
                while let Some(driver) = joining.join_next().await {
                    drivers.push(driver??);
                }
                if speaking {
                    drivers[first.min(count)..].iter_mut().for_each(speak);
                }
                println!("sessions {count}");
            }
            Order::Speak => {
                speaking = true;
                drivers.iter_mut().for_each(speak);
            }
            Order::Frames => println!("frames {}", FRAMES.load(Relaxed)),
            Order::Alive => {
                let metrics = tokio::runtime::Handle::current().metrics();
                let (threads, files) = held()?;
                println!("alive {} {threads} {files}", metrics.num_alive_tasks());
            }
            Order::Window(_) | Order::End => break,
        }
    }
    Ok(())
}

async fn join(args: Arc<Args>, number: u64) -> Result<Driver, Error> {
    let user = args.first_user + number;
    let id = |id| NonZeroU64::new(id).ok_or("an id of 0");
    let config = Config::default().driver_timeout(Some(Duration::from_secs(60)));
    #[cfg(feature = "receive")]
    let config = config.decode_mode(songbird::driver::DecodeMode::Decrypt);
    let mut driver = Driver::new(config);
    #[cfg(feature = "receive")]
    driver.add_global_event(songbird::CoreEvent::VoiceTick.into(), Listener);
    let info = ConnectionInfo {
        channel_id: ChannelId(id(args.channel(user))?),
        endpoint: args.endpoint.clone(),
        guild_id: GuildId(id(args.guild(user))?),
        session_id: "session".into(),
        token: args.token(),
        user_id: UserId(id(user)?),
    };
    driver.connect(info).await?;
    Ok(driver)
}

/// Plays frames that it need not encode.
fn speak(driver: &mut Driver) {
    driver.play_input(dca().into());
}

/// The frames in the DCA container, which songbird reads (<https://github.com/bwmarrin/dca/wiki/DCA1-specification-draft>).
fn dca() -> &'static [u8] {
    static DCA: OnceLock<Vec<u8>> = OnceLock::new();
    DCA.get_or_init(|| {
        let metadata = serde_json::json!({
            "dca": {"version": 1, "tool": {"name": "bench", "version": "1"}},
            "opus": {"mode": "voip", "sample_rate": 48_000, "frame_size": 960, "vbr": false, "channels": 2},
        })
        .to_string();
        let mut dca = b"DCA1".to_vec();
        dca.extend((metadata.len() as u32).to_le_bytes());
        dca.extend(metadata.as_bytes());
        let frames = opus(50);
        for frame in frames.iter().cycle().take(FRAMES_PLAYED) {
            dca.extend((FRAME as u16).to_le_bytes());
            dca.extend(frame);
        }
        dca
    })
}

#[cfg(feature = "receive")]
struct Listener;

#[cfg(feature = "receive")]
#[async_trait::async_trait]
impl songbird::EventHandler for Listener {
    async fn act(&self, context: &songbird::EventContext<'_>) -> Option<songbird::Event> {
        if let songbird::EventContext::VoiceTick(tick) = context {
            let packets = tick
                .speaking
                .values()
                .filter(|voice| voice.packet.is_some());
            FRAMES.fetch_add(packets.count() as u64, Relaxed);
        }
        None
    }
}
