//! Ringmain: a Kafka-compatible event broker for Linux servers with NVMe drives.
//!
//! One binary, thread per core, no state shared between cores, direct I/O, durable before it acknowledges. This page is
//! the architecture as built; each module's head says what it owns, where it lives, what it does not know, its limits
//! and its file format. A server runs alone so far: clusters exist in the simulator only, [see below](#several-servers).
//!
//! New here? The [`guide`] has a tour of the code, a glossary, every file format, and what an operator needs.
//!
//! # Following one produce request
//!
//! 1. [`server`]'s reader receives a frame into a buffer that becomes [`bytes::Bytes`], opens the answer's place (answers
//!    leave in request order) and calls [`api::dispatch`]: synchronous, so the appends of one connection keep their order,
//!    and not waiting, so the next request starts before this one is durable.
//! 2. [`api`] decodes, finds the owning shards in the cluster's image and returns a [`api::Step`]: ask these shards, then
//!    go on with this closure. Record bytes are slices of the frame.
//!    Compressed batches are read first, here: see [below](#what-is-inside-a-batch).
//! 3. The [`runtime`] passes the question to the local [`shard`] by call, to another one over the mesh.
//! 4. The shard's store appends it: the partition's [`log`] checks the batch and copies it once, checksumming as it goes, into
//!    block-aligned memory that is tail cache and write buffer at once, patching base offset and leader epoch (outside the
//!    checksum).
//!    Small batches are queued for the [`commit`] log; a batch of 64 KiB or more goes straight to its segment, whole
//!    blocks only, the rest of its last block to the commit log.
//! 5. When the tasks that were ready have run, the shard's `turn` gathers the next commit group from what waits, up to 512 KiB
//!    of it, unless one is being written. The runtime writes the group with one `O_DIRECT | O_DSYNC` write into pre-written
//!    blocks. Direct runs are durable writes of their own beside it.
//! 6. The completion becomes an event that the shard's spine hands to the store: the flushed offset moves, which releases the
//!    answer and, as news to the other rooms, wakes fetches that wait for data and coordinators that hold answers back.
//!
//! A fetch finds its batches in the tail's memory and sends them from there as a gather list (`sendmsg`), no byte copied in
//! user space, and no more given to the kernel at once than a reader still finds in the caches (`server`'s `send_buffer`).
//! Older ones are read by direct I/O, verified, and sent from the buffer they were read into. What is read is kept for a
//! while and shared: one disk read serves every group that comes for the same range, also while it is under way, and who goes
//! through a segment finds the next window already asked for ([`shard`]'s `read/cache`).
//!
//! # Shape
//!
//! | module | what | may use |
//! |---|---|---|
//! | [`base`] | ids, offsets, checksums, chunks, time, disk operations as values, counters; pure | nothing |
//! | [`config`] | settings as written and as resolved; Kafka's config tables | base |
//! | [`protocol`] | wire primitives, headers; messages generated from schema/kafka; pure | base |
//! | [`record`] | record batch v2: check, patch, build, read; pure | base |
//! | [`peer`] | frames between servers: typed messages and their bytes; pure | base |
//! | [`log`] | one partition's log; pure | base, config, record |
//! | [`commit`] | the shard's commit log; pure | base |
//! | [`quorum`] | who leads the metadata log: election, votes, voters; pure | base |
//! | [`replication`] | a partition's replicas: leading, following, lanes' fairness and credit; pure | base |
//! | [`controller`] | topics, servers, who leads which partition, producer ids: decisions, records, image; pure | base, config |
//! | [`group`] | consumer groups: members, assignors, records; pure | base, config, protocol, controller |
//! | [`shard`] | the shard as a state machine: inputs in, effects out; pure | all above but protocol |
//! | [`api`] | one file per API: decode → ask → answer; pure | base, config, protocol, record, controller, group, shard |
//! | [`runtime`] | glommio: executors, files, mesh, effect driver, recovery | base, config, record, log, commit, controller, quorum, shard |
//! | [`server`] | listeners, connections, steering, start, stop | base, config, protocol, log, controller, shard, api, runtime, admin |
//! | [`admin`] | HTTP for metrics and health, own thread | base |
//! | [`client`] | a Kafka client | protocol, record, base |
//! | [`inspect`] | verifies files, changes nothing | base, record, log, commit, quorum, controller |
//! | [`cli`] | subcommands | base, config, protocol, record, runtime, server, admin, client, inspect |
//! | [`guide`] | pages for strangers, no code | nothing |
//!
//! `tests/tidy` reads this table and holds the code to it. A pure module has no I/O, clock or entropy.
//!
//! A shard is a function of its inputs, so `tests/sim` drives it on a simulated disk: power cuts that keep any part of what was
//! not synced, failing and full disks, recovery by the same code as at any start, and a model of what must be left. In the same
//! way `tests/cluster_sim` drives the shards of several servers, their network and their clients in one thread.
//!
//! # Inside the shard
//!
//! A shard is a spine and five rooms ([`shard`] has the table). `store` owns partitions, what this server is to each of them, the
//! commit log and all that brings bytes to stable storage; `read` everybody who waits for data or for the disk; `replica` the
//! connections to other servers and what flows on them; `upkeep` retention, compaction, scrubbing and DeleteRecords; `seat` the
//! state machines that live on partitions of their own: coordinators and the controller, with the quorum and this server's
//! membership. A room may use those before it that the table names, and never one behind it: what it has to tell them is news,
//! which the spine hears before the input ends. So transactions and share groups will be seats beside these, not threads through
//! all of them.
//!
//! Every seat keeps one rule ([`shard`]'s `seat`): decide, append, wait until the log is settled up to there, answer. If the log
//! refuses the records, a coordinator begins again from the log, and the controller ends the process. Every answer about a
//! partition asks its watermarks: log start <= last stable offset <= high watermark <= flushed offset <= log end, checked
//! whenever its log changes. The high watermark is the least flushed offset of the replicas in sync; with one replica that is the
//! flushed offset. Two partitions may have it above the flushed offset: one of a topic that acknowledges from memory
//! (`flush.messages` above 1), and the metadata log on its leader, once a majority of voters has the records.
//!
//! Asserts stay in release builds where state changes and they are cheap: a count of bytes under way that does not come back to
//! zero, a waiter that nothing will wake, an offset that goes back are faults of ours, and end the process before they become
//! wrong answers.
//!
//! Settings changed while running are records of the metadata log; each shard resolves them anew when the image it holds has
//! changed, and so do a topic's logs.
//!
//! # Durability
//!
//! A partition's bytes are in one of two places on stable storage: its segment file below the segment's stable end, the
//! commit log above. Commit files are fixed-size, written once at creation and recycled. Before one is filled anew, the
//! partitions it covers are released: they write their whole blocks, sync, log the rest of the last block again (an
//! acknowledged byte is never overwritten), and a checkpoint says where recovery begins. Files are always held back for
//! those re-logged tails, enough for all of them: once one of these is begun, it takes nothing else until there are as many
//! again, so that freeing can finish under any load. What an orderly stop finds without room in the log is made durable by
//! its last sync instead. Partitions take turns in being released, at the pace in which the log fills ([`shard`]'s `store/sweep`):
//! the more of them are written to, the more files the log uses, so that each release writes a piece worth its while and the
//! disk has the same to do all the time. Recovery ([`runtime::recovery`]) replays the commit
//! logs into segments, scans each partition from its checkpoint, and hands plain data to the shards: after it everything is
//! in segments, which is why a changed number of shards costs nothing.
//!
//! A sync of one file costs a commit of the file system's journal, so thousands of partitions do not get one each: those that
//! have written what they had wait for each other, and one `syncfs` serves them all. What the commit log covers needs no
//! durable name before that either; only direct runs, which are durable by themselves, sync the directories first.
//!
//! Hardly anybody waits for what the commit log covers, so only few of those writes, and of the files and blocks they need, are
//! under way at once ([`shard`]'s `store/writeback`): a commit group waits behind whatever the disk, the kernel's workers and the
//! blocking thread have been given before. For the same reason the chunks of partitions end at different places: those that
//! are written to evenly would all have one to write at the same moment, some 600 MB from 10,000 of them. And files that nobody
//! waits for are made with a pause after each: the kernel's workers, without whom no durable write ends, share the processor.
//!
//! A finished segment gets Kafka's index files. One that is still being appended to keeps its index in memory, and now and then
//! writes what is new of it behind the last ([`log::marks`]): a start after a crash finds its way with that. Writing the
//! index anew each time made two files a mebibyte of each of a thousand partitions, and cost a tenth of both processors.
//!
//! Kafka's index files have no checksums, and an entry that has rotted could lead a reader past records that are there. A file
//! of checksums beside each would be one more to make; but an entry names a batch, so that whoever goes by it can look whether
//! it is there ([`log::Landmarks`]). An index that leads astray is made anew while its readers wait ([`shard`]'s `read/indexes`).
//!
//! Retention moves a log's start first, which readers see at once; a checkpoint makes it durable; only then are the segments
//! below deleted, one at a time. So whatever a crash leaves behind, the checkpoint knows where offsets go on. Deleting is done
//! by a thread of its own, at the lowest priority, segments in pieces: nothing waits for it, neither commit files that are being
//! made nor a stop, and it waits for no compaction.
//!
//! A partition that fills its segments within minutes keeps the file of one that retention has taken, and begins its next
//! segment in it: its blocks are there, so that durable writes change nothing else, and none are freed meanwhile. Whatever
//! the file still holds has offsets below the new segment's base, and only a batch with the offset expected next is ever
//! believed (`log`'s `spare` has the argument). It gets its new name, durably, before the first write. That is one segment
//! more on the disk for each such partition; it goes when it is not used for some minutes or the disk is low, and
//! `ringmain.segment.recycle` switches it off.
//!
//! Compaction writes a finished segment anew beside the old one and puts it in its place with one rename, while nobody reads
//! from it: a crash finds either. Only segments before the one the checkpoint begins with are touched, and recovery replays
//! nothing into those. Its reading and writing is done by another thread at the lowest priority, since it would hold up the
//! shard's blocking calls, and paced: a tenth of what producers write while they
//! write, all that the settings allow while they are quiet, something is overdue, or the disk is low ([`shard`]'s
//! `upkeep/share`).
//!
//! Scrubbing ([`shard`]'s `upkeep/scrub`) reads every finished segment once in a period on that thread, within a budget of its own, and
//! names what has rotted. A batch's base offset is outside its checksum, so readers and scrubbing also demand that batches
//! ascend within their segment's offsets.
//!
//! The first failed write or sync ends the process (exit code 74); nothing after it is acknowledged. Below a reserve of free
//! space producers are refused with a retriable error, and all else goes on; a disk that is full all the same refuses appends
//! and tries again what it had refused, and keeps room for the checkpoint that lets retention free some.
//!
//! # What is inside a batch
//!
//! A batch whose compressed records cannot be read would be an error for every consumer of its partition, and times that only
//! the header claims would mislead every lookup. So records are read before they are stored ([`record`]'s `inside` and `walk`):
//! uncompressed ones by their log, while they are in the caches anyway; compressed ones on the shard that their connection
//! lives on, whose owner may be another: inflating is what costs, and is spread over the cores that way. What was found, or
//! what is wrong, goes along with the batch ([`record::Inside`]).
//!
//! A mebibyte can inflate to a gibibyte, and whoever inflates it shares a thread with everybody else. Reading goes by slices of
//! 256 KiB of inflated bytes; nearly every request is read in its first slice, at once. What takes longer is a
//! [`api::Step::Read`]: two of them at a time on a shard, which lets everything else go on between two slices. Nothing further
//! of the same connection begins meanwhile, so its appends keep their order without any queue in the shard. Who waits for
//! a turn holds no decoder, so memory is bounded by two decoders and the batches' own bytes.
//!
//! A topic with a `compression.type` of its own has other batches compressed anew in the same walk, after their checksum was
//! verified: the new one must not hide damage.
//!
//! # Which node answers for what
//!
//! A server is one node to clients, or a node per core. On one port it can tell which node a connection means only if the client
//! says so (ApiVersions v5); everybody else sees one node. The table of views, and why nothing is counted twice or missed by
//! tools that ask every node, are in `api::cluster::view`; how a client that knows one node is told of the cores is in `api::cluster::hints`.
//!
//! # Memory
//!
//! `ringmain.memory.bytes` is shared out to the shards, and in each to tails (a half), requests (a quarter), answers (an eighth)
//! and what is read from segments (an eighth). A request is counted from the moment its size is known until it is answered,
//! an answer from the moment it is ready until the socket has taken it: whoever comes when there is no room waits, in order,
//! and who holds room that others wait for and does not move is let go. An answer that becomes ready when others have filled
//! their part goes without records, and the client asks again; of what is read from segments, no more is read while answers hold
//! its part and theirs, however little of each piece they need. Tails give memory back as soon as the segments
//! have the bytes; a partition that is idle keeps its last block. Cold reads wait for each other, and few of them are on the
//! disk at once, so that commits do not wait behind them. What is answered before it is durable (acks=0, `flush.messages`)
//! waits once too much is on its way.
//!
//! # Staying awake
//!
//! An executor of glommio 0.9 may park with tasks to run. Timers of its own wake it soon after something
//! has come in, and now and then where nothing does ([`runtime`]'s `driver` and `awake`). Where these lie with the rest, before
//! the first task or after a long time off the processor, a thread beside the shards does, by a signal (`nudge`).
//!
//! # Several servers
//!
//! **What this section tells of exists in the simulator only.** There are no sockets between servers and no way to join a
//! cluster. A server of today is a cluster of one: it runs the same code, its own vote elects it, and it is its own controller.
//!
//! | what is decided or done | where |
//! |---|---|
//! | one replica's half of a partition, leader or follower; the two ends of a lane | [`replication`] |
//! | who leads the metadata log, and what a majority has committed of it | [`quorum`] |
//! | who is there (`servers`), and who leads and is in sync: one function, `settle` (`replicas`) | [`controller`] |
//! | what servers say to each other, and its bytes | [`peer`] |
//! | what this server is to a partition; runs taken from a leader; the beginning of cuts | [`shard`]'s `store/role`, `store/replicate` |
//! | lanes, streams, what is sent in a turn, in-sync sets asked for, snapshots handed over | [`shard`]'s `replica` |
//! | the votes, the registration, the office of the controller | [`shard`]'s `seat/cluster` with `quorum`, `member`, `controller`, `snapshots` |
//! | a cut, what a start makes of one, what a start may believe | [`log`]'s `cut`, [`commit`]'s `plan`, [`runtime::recovery`] |
//!
//! A *lane* is one connection between a shard of one server and a shard of another; the follower dials. A *stream* is one
//! partition on a lane; a *run* is whole batches of one leader epoch, back to back. The rules that keep acknowledged records have
//! names (R1, Q1, D1 and so on, in `base::rules`), stand beside the code that keeps them, and can be switched off by tests.
//!
//! **A produce with replicas.** Steps 1 to 4 above are the same, and with fewer replicas in sync than the minimum `acks=all` is
//! refused. The turn gathers the commit group and then fills a frame for each lane with what its followers lack, by reference to
//! the tail, so the disk and the network begin together. The follower compares the run with what the frame says of it, copies it
//! in the pass that verifies it, and commits it like any append; what is flushed then goes back as an ack, with credit for
//! further bytes. The leader moves the high watermark to the least flushed end of all members in sync, those that it has only
//! asked for included, and releases the answers below it. An ack counts only for its leader epoch and for the life of the server
//! that the image names. A new epoch fails everybody who waits, within the same input.
//!
//! **A cut.** Every new leader epoch opens the streams anew. The follower names its log's end and last epoch, and the leader says
//! where the two logs part. Nothing below a replica's own high watermark is cut: a replica that would have to keeps all it has,
//! says so and waits. Else all of the log goes to finished segments; an entry of the commit log says that the log is to be cut;
//! the files are cut; a second entry says that they are; only then does the log take records again, in a new segment. Entries of
//! what was cut off are still in the commit log and may fit what comes later, so a start goes by these two entries, and later
//! checkpoints by the *fence*, the place of the second one.
//!
//! **An election.** A voter that hears nothing of a leader asks whether it would be elected, then writes its epoch and vote to
//! `meta/quorum`, and only then asks for votes. Whoever gets a majority appends the epoch's first record, and decides nothing
//! before a majority has flushed that record and the controller has folded it. Partitions have no votes: the controller takes a
//! server for gone when it is silent or its address refuses, `settle` says who leads and who is in sync, and shards act on that
//! when it comes with the image, never on an answer to what they have asked.
//!
//! **A start.** Recovery believes its own metadata log wholly only where no other server votes; else it asks that log for homes,
//! and nothing is deleted because it lacks a topic. All partitions are idle first. The server follows the metadata log up to
//! where the leader's is committed and registers; where there are other replicas, that costs its partitions a leader epoch and
//! the server its place in their in-sync sets. Roles begin when the image holds this registration, and partitions are led once
//! the server is unfenced. A server alone goes through all of this before it accepts connections: two syncs for the vote, two
//! commits for the registration. An orderly stop hands leaderships over, closes the lanes, and then finishes the logs.
//!
//! Each server writes what the metadata has come to into a snapshot, after 4 MiB of records or an hour, keeps two, and lets its
//! log begin at the older one. A follower whose log ends before the leader's begins is handed a snapshot.
//!
//! # Where this differs from the first design
//!
//! - A group coordinator applies its decisions at once and holds back its answers until their records are durable; if the log
//!   refuses the records, the coordinator is read anew from the log. It needs no rollback and no snapshots in time.
//! - `config` sits right above `base`, because log, controller and api act on resolved topic settings.
//! - Disk operations are values in `base::io`: log and commit log decide them, the shard numbers them, the runtime
//!   performs them.
//! - A partition's shard is not stored: a partition has a home, a number given once when it is created, and its shard on any server
//!   is that number modulo the server's shards ([`base::Home`]). Everybody agrees without asking.
//! - Metadata records are FlatBuffers (schema/metadata.fbs) inside ordinary record batches of an ordinary partition on
//!   shard 0, so that they have the same log, commit log and recovery as user data.
//! - The direct path is chosen per batch at append, not per waiting run at gather time: memory is laid out for it then.
//! - Topics that acknowledge from memory (`flush.messages` above 1) are nevertheless committed at the next group: the
//!   commit log makes that cheap, so their bounds are always kept.
//! - Segment files are recycled only within one partition. A direct run is found after a crash by its content alone, and a
//!   file that once was another log's holds batches that look as right as the ones that should be there: their checksums do
//!   not say whose they are. The same log's own old ones tell themselves by their offsets.
//! - The client is blocking (std sockets): command line, bench and tests need no executor.
//!
//! # Where the cluster differs from its design, and why
//!
//! - A leader verifies what it reads from segments for a follower. Such reads go through the room `read` like anybody's, which
//!   shares them, bounds them and verifies; a way around it would be a second path.
//! - Voters ask each other on control lanes, and there are no lanes for votes: what joins two shards 0 serves both.
//! - The controller folds the metadata by reading its server's log, as any reader would, up to what is committed and durable
//!   there. Whether the server has written a record or was sent it makes no difference.
//! - Rules can be switched off in debug builds only. A cargo feature could have reached a build that is shipped.
//! - Before the files of a dropped partition are removed, the commit log says that nothing of it stays; and a replica that comes
//!   back begins with a cut that keeps nothing. Else a start would make files of what the commit log still has, without their
//!   beginning.
//! - A cut waits for compaction, scrubbing and the like on the same files, and those begin nothing on a log that is being cut.
//! - An orderly stop closes the lanes before the logs are finished: a log that is being finished can take nothing more.
//! - A follower names its log start to the leader only when a checkpoint holds it, and DeleteRecords is answered when all of an
//!   in-sync set that has the minimum have named one as high: with fewer members, eligible replicas may begin lower. So no
//!   failover brings records back.
//! - A leader of the metadata log names itself to all who have a lane to it: observers take no part in the election and would not
//!   learn of it.
//! - Voters that are merely heard count when a leader looks whether it has a majority: an idle log has no acks, and its leader
//!   resigned.
//! - The controller takes the asks of one server for in-sync sets in their order, and none that is older than one it has taken: a
//!   refusal settles an ask for the leader, and an earlier copy of it could be granted afterwards. A walk of
//!   `tests/replica_model` found that.
//! - A follower may end within an empty batch of the leader, as compaction leaves them; it is sent the rest as a batch of its
//!   own.
//! - A follower that has nothing begins where the segment does that holds the leader's log start. The start itself may lie within a
//!   batch once records were deleted, and of a batch nobody can be sent a part.
//! - Compaction leaves the latest batches of every idempotent producer, empty if need be, and followers are sent batches without
//!   records like all others. Else a replica that came later knew neither where an epoch began nor what a producer had sent, and
//!   as a leader refused the producer's next batch.
//! - A server makes no partition before its present life is registered. The metadata that it reads before names every replica it
//!   ever had.
//! - Two voters become one only by a record that the one has flushed before anybody sees it, and never by a leader that leaves
//!   itself. Else the voter that left could alone have the record, and the other one would need its vote.
//! - A server is told its id when the record of that is served by every shard of the controller, never before.
//!
//! **Not built yet:**
//!
//! - sockets between servers, and joining; requests to the controller are not sent on for clients;
//! - reading from a follower (KIP-392); so a follower's ack never asks for the high watermark at once (`wants_high_watermark`);
//! - damaged ranges among replicas: a follower never reports its own (`damaged` is always false), and a leader that meets one
//!   ends the stream there;
//! - setting strays aside while the server runs: partitions that the metadata does not give to a server are kept and not served;
//! - finding the states of producers again after a cut below what is remembered of them (`producers_lost`): until then a batch
//!   that comes twice may not be recognized.

#[doc(inline)]
pub use ringmain_wire::{base, every_message, pick, protocol};

pub mod admin;
pub mod api;
pub mod cli;
pub mod client;
pub mod commit;
pub mod config;
pub mod controller;
pub mod group;
pub mod guide;
pub mod inspect;
pub mod log;
pub mod peer;
pub mod quorum;
pub mod record;
pub mod replication;
pub mod runtime;
pub mod server;
pub mod shard;
