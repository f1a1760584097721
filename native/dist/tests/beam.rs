//! Against a real BEAM.

mod support;

use dist::{CallError, ConnectError, Endpoint, Event, Pid, Process, Target, Term, connect, term};
use support::{Beam, WATCHDOG, eval, shown};

async fn next(process: &mut Process) -> Event {
    tokio::time::timeout(WATCHDOG, process.recv()).await.expect("no event").expect("the connection ended")
}

/// A process on the BEAM that lives until it is told `stop`.
async fn spawned(node: &dist::Node) -> Pid {
    match eval(node, "spawn(fun() -> receive stop -> ok end end)").await {
        Term::Pid(pid) => pid,
        other => panic!("{other}"),
    }
}

/// Answers every call with `{ok, Request}` until the connection ends.
fn serve(mut process: Process) {
    tokio::spawn(async move {
        while let Some(event) = process.recv().await {
            if let Event::Call(call) = event {
                let answer = term::tuple([term::atom("ok"), call.request]);
                call.caller.reply(answer).await.unwrap();
            }
        }
    });
}

#[tokio::test]
async fn the_beam_pings_calls_and_casts() {
    let beam = Beam::start().await;
    let node = beam.node("peer").await;
    assert_eq!(shown(&node, "net_adm:ping('peer@127.0.0.1')").await, "pong");
    assert_eq!(shown(&node, "{nodes(), lists:member('peer@127.0.0.1', nodes(hidden))}").await, "{[],true}");

    serve(node.register("echo").unwrap());
    let call = |request: &str| format!("gen_server:call({{echo, 'peer@127.0.0.1'}}, {request})");
    for request in ["hello", "{1,-7,[],[-1,2],1 bsl 70,1.5,\"text\",<<1,2>>,#{a => b}}"] {
        assert_eq!(shown(&node, &format!("{} =:= {{ok, {request}}}", call(request))).await, "true");
    }
    // As older clients and several calls at once tag them.
    let multi = "gen_server:multi_call(['peer@127.0.0.1'], echo, x, 5000)";
    assert_eq!(shown(&node, multi).await, "{[{'peer@127.0.0.1',{ok,x}}],[]}");
    let request = "gen_server:receive_response(gen_server:send_request({echo, 'peer@127.0.0.1'}, y), 5000)";
    assert_eq!(shown(&node, request).await, "{reply,{ok,y}}");

    let mut inbox = node.register("inbox").unwrap();
    assert_eq!(node.register("inbox").unwrap_err().0, "inbox");
    eval(&node, "gen_server:cast({inbox, 'peer@127.0.0.1'}, 5)").await;
    assert!(matches!(next(&mut inbox).await, Event::Cast(n) if term::as_int(&n) == Some(5)));
    eval(&node, "{inbox, 'peer@127.0.0.1'} ! plain").await;
    assert!(matches!(next(&mut inbox).await, Event::Info(m) if term::as_atom(&m) == Some("plain")));
}

#[tokio::test]
async fn calls_to_the_beam_are_answered_or_say_why_not() {
    let beam = Beam::start().await;
    let node = beam.node("peer").await;
    assert_eq!(term::as_int(&eval(&node, "20 + 22").await), Some(42));
    let error = node.call("nobody", term::atom("x")).await.unwrap_err();
    assert_eq!(error, CallError::Down(term::atom("noproc")));
    // A call that is given up leaves no monitor behind on the BEAM.
    eval(&node, "register(silent, spawn(fun() -> receive stop -> ok end end))").await;
    let call = node.call("silent", term::atom("x"));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(20), call).await.is_err());
    assert_eq!(shown(&node, "process_info(whereis(silent), monitored_by)").await, "{monitored_by,[]}");
}

#[tokio::test]
async fn many_calls_stay_in_order_and_large_binaries_arrive() {
    let beam = Beam::start().await;
    let node = beam.node("peer").await;
    serve(node.register("echo").unwrap());
    let calls = "[begin {ok, N} = gen_server:call({echo, 'peer@127.0.0.1'}, N), N end || N <- L] =:= L";
    assert_eq!(shown(&node, &format!("L = lists:seq(1, 3000), {calls}")).await, "true");

    let mut inbox = node.register("inbox").unwrap();
    eval(&node, "[{inbox, 'peer@127.0.0.1'} ! N || N <- lists:seq(1, 20000)], ok").await;
    for wanted in 1..=20_000 {
        assert!(matches!(next(&mut inbox).await, Event::Info(n) if term::as_int(&n) == Some(wanted)));
    }

    let size = 1 << 20;
    let answer =
        format!("B = rand:bytes({size}), gen_server:call({{echo, 'peer@127.0.0.1'}}, B) =:= {{ok, B}}");
    assert_eq!(shown(&node, &answer).await, "true");
    // More than the queue holds at once: senders wait, nothing is lost.
    let sum = "register(sum, spawn(fun() -> Loop = fun L(S) ->
        receive {'$gen_call', F, get} -> gen_server:reply(F, S), L(S); B -> L(S + byte_size(B)) end end,
        Loop(0) end))";
    assert_eq!(shown(&node, sum).await, "true");
    for _ in 0..40 {
        node.send("sum", term::binary(vec![7; size])).await.unwrap();
    }
    let sum = node.call("sum", term::atom("get")).await.unwrap();
    assert_eq!(term::as_int(&sum), Some(40 * size as i64));
}

#[tokio::test]
async fn monitors_report_ends_in_both_directions() {
    let beam = Beam::start().await;
    let node = beam.node("peer").await;
    let watch = |what: &str| {
        format!(
            "M = monitor(process, {what}), {{inbox, 'peer@127.0.0.1'}} ! self(), receive {{'DOWN', M, process, _, R}} -> R end"
        )
    };
    let mut inbox = node.register("inbox").unwrap();

    // By name, and by pid; the reason is ours to say.
    let named = node.register("named").unwrap();
    let plain = node.spawn();
    eval(&node, "register(keep, spawn(fun() -> receive {pid, P} -> register(holder, spawn(fun() -> receive {get, F} -> F ! P end end)) end end))").await;
    node.send("keep", term::tuple([term::atom("pid"), plain.pid().clone().into()])).await.unwrap();
    let (by_name, by_pid, ()) = tokio::join!(
        shown_owned(&node, watch("{named, 'peer@127.0.0.1'}")),
        shown_owned(
            &node,
            format!(
                "(fun W() -> case whereis(holder) of undefined -> W(); H -> H ! {{get, self()}} end end)(), \
                 P = receive Q when is_pid(Q) -> Q end, {}",
                watch("P")
            )
        ),
        async {
            next(&mut inbox).await;
            next(&mut inbox).await;
            named.exit(term::atom("done"));
            drop(plain);
        }
    );
    assert_eq!((by_name.as_str(), by_pid.as_str()), ("done", "normal"));

    // A name that is not there, or not any more.
    for name in ["nobody", "named"] {
        assert_eq!(shown(&node, &watch(&format!("{{{name}, 'peer@127.0.0.1'}}"))).await, "noproc");
    }
    let call = "catch gen_server:call({nobody, 'peer@127.0.0.1'}, x)";
    assert_eq!(shown(&node, call).await, "{'EXIT',{noproc,{gen_server,call,[{nobody,'peer@127.0.0.1'},x]}}}");

    // Ours of theirs.
    let mut watcher = node.spawn();
    let pid = spawned(&node).await;
    let reference = watcher.monitor(&pid).await.unwrap();
    let forgotten = watcher.monitor(&pid).await.unwrap();
    watcher.demonitor(&forgotten).await.unwrap();
    node.send(&pid, term::atom("stop")).await.unwrap();
    match next(&mut watcher).await {
        Event::Down { reference: down, target, reason } => {
            assert_eq!((down, target, reason), (reference, Target::from(&pid), term::atom("normal")));
        }
        other => panic!("{other:?}"),
    }
    watcher.monitor("nobody").await.unwrap();
    assert!(matches!(next(&mut watcher).await, Event::Down { reason, .. } if reason == term::atom("noproc")));
    assert_eq!(watcher.waiting(), 0);
}

async fn shown_owned(node: &dist::Node, text: String) -> String {
    shown(node, &text).await
}

#[tokio::test]
async fn links_carry_exits_in_both_directions_until_they_are_undone() {
    let beam = Beam::start().await;
    let node = beam.node("peer").await;
    let mut ours = node.spawn();

    let theirs = spawned(&node).await;
    ours.link(&theirs).await.unwrap();
    node.send(&theirs, term::atom("stop")).await.unwrap();
    assert!(matches!(next(&mut ours).await, Event::Exit { from, .. } if from == theirs));

    // Linking to what is gone says so.
    ours.link(&theirs).await.unwrap();
    assert!(matches!(next(&mut ours).await, Event::Exit { reason, .. } if reason == term::atom("noproc")));

    // Undone, done again, undone: nothing comes, though an exit is on its way.
    let theirs = spawned(&node).await;
    for _ in 0..3 {
        ours.link(&theirs).await.unwrap();
        ours.unlink(&theirs).await.unwrap();
    }
    node.send(&theirs, term::atom("stop")).await.unwrap();
    let theirs = spawned(&node).await;
    ours.link(&theirs).await.unwrap();
    ours.unlink(&theirs).await.unwrap();
    ours.link(&theirs).await.unwrap();
    node.send(&theirs, term::atom("stop")).await.unwrap();
    assert!(matches!(next(&mut ours).await, Event::Exit { from, .. } if from == theirs));

    // The other side links, unlinks, and sends an exit signal.
    let mut inbox = node.register("inbox").unwrap();
    eval(
        &node,
        "register(linker, spawn(fun() -> process_flag(trap_exit, true),
            receive P -> link(P), unlink(P), link(P), exit(P, please), {inbox, 'peer@127.0.0.1'} ! linked,
            receive {'EXIT', P, R} -> {inbox, 'peer@127.0.0.1'} ! {gone, R} end end end))",
    )
    .await;
    node.send("linker", ours.pid().clone().into()).await.unwrap();
    assert!(matches!(next(&mut ours).await, Event::Exit { reason, .. } if reason == term::atom("please")));
    next(&mut inbox).await;
    ours.exit(term::tuple([term::atom("bad"), term::int(1)]));
    let Event::Info(gone) = next(&mut inbox).await else { panic!() };
    let reason = term::tuple([term::atom("bad"), term::int(1)]);
    assert_eq!(gone, term::tuple([term::atom("gone"), reason]));
}

#[tokio::test]
async fn processes_of_one_node_see_each_other_too() {
    let beam = Beam::start().await;
    let node = beam.node("peer").await;
    let (mut a, b) = (node.spawn(), node.spawn());
    node.send(a.pid(), term::atom("hello")).await.unwrap();
    assert!(matches!(next(&mut a).await, Event::Info(_)));
    a.monitor(b.pid()).await.unwrap();
    a.link(b.pid()).await.unwrap();
    let gone = b.pid().clone();
    drop(b);
    assert!(matches!(next(&mut a).await, Event::Down { .. }));
    assert!(matches!(next(&mut a).await, Event::Exit { .. }));
    node.send(&gone, term::atom("dropped")).await.unwrap();
    a.monitor(&gone).await.unwrap();
    assert!(matches!(next(&mut a).await, Event::Down { reason, .. } if reason == term::atom("noproc")));
}

#[tokio::test]
async fn a_name_that_is_connected_already_is_replaced() {
    let beam = Beam::start().await;
    let (first, driver) = connect(&beam.options("same")).await.unwrap();
    let ended = tokio::spawn(driver.run());
    let mut process = first.spawn();
    // The BEAM has it among its connections by now, not only among those to come.
    assert_eq!(shown(&first, "ok").await, "ok");
    let second = beam.node("same").await;
    serve(second.register("echo").unwrap());
    assert_eq!(shown(&second, "gen_server:call({echo, 'same@127.0.0.1'}, 1)").await, "{ok,1}");
    // The old one learns of it: its driver, its processes, its senders.
    ended.await.unwrap();
    assert!(process.recv().await.is_none());
    assert!(first.send("eval", term::atom("x")).await.is_err());
    assert!(first.spawn().recv().await.is_none());
    assert!(matches!(first.call("eval", term::atom("x")).await, Err(CallError::Closed(_))));
    // A pid of the old one is nobody's in the new one.
    second.send(process.pid(), term::atom("x")).await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let beam = Beam::start().await;
    let fails = async |change: fn(&mut dist::Options)| {
        let mut options = beam.options("refused");
        change(&mut options);
        connect(&options).await.map(drop).unwrap_err()
    };
    let error = fails(|options| options.cookie = "wrong".to_owned()).await;
    assert!(matches!(error, ConnectError::Cookie), "{error}");
    let error = fails(|options| options.name = "beam@127.0.0.1".to_owned()).await;
    assert!(matches!(error, ConnectError::NameInUse(_)), "{error}");
    let error = fails(|options| options.peer = "other@127.0.0.1".to_owned()).await;
    assert!(matches!(error, ConnectError::OtherNode { .. }), "{error}");
    let error = fails(|options| options.name = "nameless".to_owned()).await;
    assert!(matches!(error, ConnectError::Name { .. }), "{error}");
    let error = fails(|options| options.endpoint = Endpoint::Unix("/nonexistent/x".into())).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    // A refused name is free to try again.
    beam.node("refused").await;
}

#[tokio::test]
async fn the_end_of_the_beam_ends_the_connection() {
    let beam = Beam::start().await;
    let (node, driver) = connect(&beam.options("peer")).await.unwrap();
    let ended = tokio::spawn(driver.run());
    drop(beam);
    assert!(matches!(ended.await.unwrap(), dist::Ended::Closed));
    assert!(node.spawn().recv().await.is_none());
}

#[tokio::test]
async fn a_group_has_one_mailbox_and_many_pids() {
    let beam = Beam::start().await;
    let node = beam.node("group").await;
    let mut group = node.group();
    let members = group.members().clone();
    let server = members.register("group_server").unwrap();
    let sockets: Vec<_> = (0..3).map(|_| members.spawn()).collect();
    assert_eq!(members.register("group_server").unwrap_err().0, "group_server");
    let mut next = async || {
        tokio::time::timeout(WATCHDOG, group.recv()).await.expect("no event").expect("the connection ended")
    };

    // What comes for all of them comes in the order in which it was sent.
    let echo = spawned_echo(&node).await;
    for socket in &sockets {
        socket
            .send(&echo, term::tuple([socket.pid().clone().into(), term::int(socket.key())]))
            .await
            .unwrap();
    }
    for socket in &sockets {
        let (key, Event::Info(message)) = next().await else { panic!("no message") };
        assert_eq!((key, term::as_int(&message)), (socket.key(), Some(socket.key() as i64)));
    }

    // A call knows whom it was for.
    let asking = {
        let node = node.clone();
        tokio::spawn(async move {
            shown(&node, "gen_server:call({group_server, 'group@127.0.0.1'}, hello)").await
        })
    };
    let (key, Event::Call(call)) = next().await else { panic!("no call") };
    assert_eq!(key, server.key());
    call.caller.reply(term::atom("well")).await.unwrap();
    assert_eq!(asking.await.unwrap(), "well");

    // The end of a process on either side.
    let victim = spawned(&node).await;
    sockets[0].monitor(&victim).await.unwrap();
    node.send(&victim, term::atom("stop")).await.unwrap();
    let (key, Event::Down { reason, .. }) = next().await else { panic!("no end") };
    assert_eq!((key, term::as_atom(&reason)), (sockets[0].key(), Some("normal")));
    let watch = spawned_watch(&node, sockets[1].pid()).await;
    sockets[1].exit(term::tuple([term::atom("closed"), term::int(1000)]));
    sockets[1].exit(term::atom("again"));
    assert_eq!(watch.await.unwrap(), "{closed,1000}");

    // The mailbox ends with the connection, though processes of it are held.
    drop(beam);
    while tokio::time::timeout(WATCHDOG, group.recv()).await.expect("no end").is_some() {}
    assert_eq!(members.spawn().send(&victim, term::atom("x")).await, Err(dist::Closed));
}

#[tokio::test]
async fn a_full_group_makes_the_beam_wait() {
    let beam = Beam::start().await;
    let node = beam.node("slow").await;
    let mut group = node.group();
    let member = group.members().register("slow").unwrap();
    // More than may wait, and more than the sockets between hold.
    let flood =
        "[{slow, 'slow@127.0.0.1'} ! {N, binary:copy(<<0>>, 100000)} || N <- lists:seq(1, 1000)], done";
    let sending = shown(&node, flood);
    tokio::pin!(sending);
    // Nobody takes anything from the mailbox: the BEAM cannot send all of it.
    let early = tokio::time::timeout(std::time::Duration::from_millis(500), &mut sending).await;
    assert!(early.is_err(), "it was read on");
    for n in 1..=1000 {
        let (key, Event::Info(message)) = group.recv().await.unwrap() else { panic!("no message") };
        let number = term::as_tuple(&message).and_then(|parts| term::as_int(&parts[0]));
        assert_eq!((key, number), (member.key(), Some(n)));
    }
    assert_eq!(sending.await, "done");
}

/// A process that sends the second element of what it gets to the first.
async fn spawned_echo(node: &dist::Node) -> Pid {
    let echo = "F = fun(F) -> receive {To, What} -> To ! What, F(F) end end, spawn(fun() -> F(F) end)";
    match eval(node, echo).await {
        Term::Pid(pid) => pid,
        other => panic!("{other}"),
    }
}

/// Monitors a process from the BEAM; once that is done, gives the reason of its end when it has come.
async fn spawned_watch(node: &dist::Node, pid: &Pid) -> tokio::task::JoinHandle<String> {
    let mut inbox = node.register("watched").unwrap();
    let watcher = "spawn(fun() -> receive {P} -> R = monitor(process, P), \
        {watched, 'group@127.0.0.1'} ! ready, \
        receive {'DOWN', R, _, _, Why} -> {watched, 'group@127.0.0.1'} ! \
        unicode:characters_to_binary(io_lib:format(\"~0p\", [Why])) end end end)";
    let Term::Pid(watcher) = eval(node, watcher).await else { panic!("no pid") };
    node.send(&watcher, term::tuple([Term::from(pid.clone())])).await.unwrap();
    assert!(matches!(next(&mut inbox).await, Event::Info(_)));
    tokio::spawn(async move {
        let Event::Info(why) = next(&mut inbox).await else { panic!("no reason") };
        String::from_utf8(term::as_binary(&why).unwrap().to_vec()).unwrap()
    })
}
