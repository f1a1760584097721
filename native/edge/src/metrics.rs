//! Counters and gauges, which the BEAM reads with the call `stats`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use dist::Term;
use dist::term::{atom, int, map};

/// A fieldless enum with the names of its variants.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, each at the place of its number.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// Its name in statistics.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}

named! {
    /// Why something was not taken: a request, a message of a client, a command of the BEAM.
    Refused {
        /// The BEAM refused to let the client connect.
        Connect => "connect",
        /// The BEAM did not answer in time.
        ConnectTimeout => "connect_timeout",
        /// The `Origin` is not one of ours.
        Origin => "origin",
        /// A serializer that is not spoken here.
        Vsn => "vsn",
        /// A request to connect that is no handshake of RFC 6455.
        Handshake => "handshake",
        /// Too many connections from one address.
        PerIp => "per_ip",
        /// Too many connections.
        MaxConnections => "max_connections",
        /// The edge is going down.
        Draining => "draining",
        /// A request that is no HTTP.
        BadRequest => "bad_request",
        /// The head of a request came too slowly.
        HeaderTimeout => "header_timeout",
        /// The body of a request came too slowly.
        BodyTimeout => "body_timeout",
        /// The headers are too large.
        HeaderBytes => "header_bytes",
        /// The URL is too long.
        UrlBytes => "url_bytes",
        /// The body is too large.
        BodyBytes => "body_bytes",
        /// A binary message for a client that cannot take one.
        BinaryOnV1 => "binary_on_v1",
        /// A binary message for a long poll, whose answers are JSON.
        BinaryOnLongpoll => "binary_on_longpoll",
        /// A message of the BEAM with a field too long for the binary form.
        FieldTooLong => "field_too_long",
        /// A term of the BEAM that is no command.
        BadCommand => "bad_command",
        /// A long poll with a token that names no session.
        NoSession => "no_session",
        /// Too many requests that the BEAM has not answered yet.
        Requests => "requests",
        /// Too many of those from one address.
        RequestsPerIp => "requests_per_ip",
        /// Too many requests for the BEAM from one address in a short time.
        RequestRate => "request_rate",
        /// The BEAM did not answer a request in time.
        RequestTimeout => "request_timeout",
        /// The process that was to answer a request has crashed.
        RequestCrashed => "request_crashed",
    }
}

named! {
    /// Why a socket closed.
    Closed {
        /// The client closed it.
        Client => "client",
        /// The client went away without a word.
        Gone => "gone",
        /// The connection ended before it was let in.
        Abandoned => "abandoned",
        /// The BEAM asked for it.
        Server => "server",
        /// The process on the BEAM ended.
        Ended => "ended",
        /// The process on the BEAM crashed, or the BEAM killed the socket.
        Crashed => "crashed",
        /// The BEAM or the edge goes down.
        Restart => "restart",
        /// Nothing came for a long time.
        Idle => "idle",
        /// Nobody has polled for a long time.
        PollIdle => "poll_idle",
        /// It read more slowly than it was sent what must not be dropped.
        Backpressure => "backpressure",
/// The BEAM had not handled what it sent before.
        BackpressureInput => "backpressure_input",
        /// It took nothing for a long time.
        WriteTimeout => "write_timeout",
        /// It sent too much.
        InputRate => "input_rate",
        /// It sent too large a message.
        TooLarge => "too_large",
        /// It sent what is no message.
        Malformed => "malformed",
        /// It sent text that is not UTF-8.
        BadUtf8 => "bad_utf8",
        /// It broke RFC 6455.
        Protocol => "protocol",
        /// It was refused by the BEAM.
        Refused => "refused",
    }
}

macro_rules! metrics {
    (gauges { $($(#[$gauge_doc:meta])* $gauge:ident,)* } counters { $($(#[$doc:meta])* $counter:ident,)* }) => {
        /// Everything that is counted.
        #[derive(Debug)]
        pub struct Metrics {
            $($(#[$gauge_doc])* pub $gauge: Gauge,)*
            $($(#[$doc])* pub $counter: Counter,)*
            refused: Vec<Counter>,
            closed: Vec<Counter>,
        }

        impl Default for Metrics {
            fn default() -> Self {
                Metrics {
                    $($gauge: Gauge::default(),)*
                    $($counter: Counter::default(),)*
                    refused: Refused::ALL.iter().map(|_| Counter::default()).collect(),
                    closed: Closed::ALL.iter().map(|_| Counter::default()).collect(),
                }
            }
        }

        impl Metrics {
            fn values(&self) -> Vec<(&'static str, i64)> {
                vec![
                    $((stringify!($gauge), self.$gauge.get()),)*
                    $((stringify!($counter), self.$counter.get() as i64),)*
                ]
            }
        }
    };
}

metrics! {
    gauges {
        /// Open TCP connections.
        connections,
        /// Open WebSockets.
        websockets,
        /// Long poll sessions.
        longpolls,
        /// Subscriptions of all sockets.
        subscriptions,
        /// Keys with a subscription.
        keys,
        /// Requests that the BEAM has not answered yet.
        api_waiting,
    }
    counters {
        /// TCP connections that were taken.
        accepted,
        /// HTTP requests.
        requests,
        /// Requests that the BEAM was asked to answer.
        api_requests,
        /// Those whose client went away before the answer.
        api_abandoned,
        /// Sockets that the BEAM let in.
        connects,
        /// Messages of clients that went to the BEAM.
        messages_in,
        /// Bytes that came over WebSockets and in bodies of long polls.
        bytes_in,
        /// Heartbeats that were answered here.
        heartbeats,
        /// Frames that were written to WebSockets or put in an answer to a poll.
        frames_out,
        /// Bytes of those.
        bytes_out,
        /// System calls that wrote to WebSockets.
        writes,
        /// Commands of the BEAM.
        commands,
        /// Commands for a socket or key that has gone.
        stale_commands,
        /// Broadcasts of the BEAM.
        broadcasts,
        /// Broadcasts times those who were sent them.
        deliveries,
        /// Frames of streams that were taken back from a queue.
        dropped,
        /// Subscriptions that fell behind their stream.
        lagged,
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn one(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds to it, or takes away from it.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Metrics {
    /// Counts a refusal.
    pub fn refused(&self, why: Refused) {
        self.refused[why as usize].one();
    }

    /// Counts a socket that closed.
    pub fn closed(&self, why: Closed) {
        self.closed[why as usize].one();
    }

    /// How often something was refused for this reason.
    pub fn times_refused(&self, why: Refused) -> u64 {
        self.refused[why as usize].get()
    }

    /// How many sockets closed for this reason.
    pub fn times_closed(&self, why: Closed) -> u64 {
        self.closed[why as usize].get()
    }

    /// All of it, as a map of atoms.
    pub fn term(&self) -> Term {
        let values = self.values().into_iter().map(|(name, value)| (atom(name), int(value)));
        let refused = Refused::ALL.iter().map(|why| (atom(why.name()), int(self.times_refused(*why))));
        let closed = Closed::ALL.iter().map(|why| (atom(why.name()), int(self.times_closed(*why))));
        map(values.chain([(atom("refused"), map(refused)), (atom("closed"), map(closed))]))
    }
}
