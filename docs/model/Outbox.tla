------------------------------- MODULE Outbox -------------------------------
(* From a commit to its effect: PostgreSQL's outbox, relays with lease and   *)
(* fence, snapshot ticks, Kafka's transactions with a receipt, and consumers *)
(* with offsets and marks. docs/model.md maps names to the code.             *)
(*                                                                           *)
(* Whatever stops and wakes later (a pause, a partition, a late packet) is a *)
(* process that takes no step for a while; so leases may run out under it.   *)
EXTENDS Integers, Sequences, FiniteSets, TLC

CONSTANTS
    Keys, Relays, Consumers,
    Transactions,   \* how many may begin
    Faults,         \* how many kills, and leases that run out under a living relay
    IdleTicks,      \* how many ticks may be opened though nothing waits
    (* Each is TRUE in corelib; FALSE puts a bug back. *)
    BySnapshot,         \* rows are chosen by snapshots, not by the highest id seen
    TickKept,           \* a tick is on disk before its rows leave
    Fenced,             \* fences in database and broker
    Receipts,           \* the position is in the broker's transaction
    SendFirst,          \* the cursor moves after the broker has the rows
    MarkWithEffect,     \* in one transaction
    OffsetAfterEffect   \* a consumer's offset passes an event once it is handled

VARIABLES
    running,    \* transactions under way: xid -> [key, id]; id 0 until its row is written
    rows,       \* the outbox: committed [id, xid, key, n]; n counts a key's commits
    count,      \* how many were committed of each key
    nextXid, nextId, completed,     \* numbers to give out; the highest finished transaction
    diskXid, diskId,                \* those of them that a crash leaves
    cursor, lease,                  \* of the relay, in the database: a position; [holder, fence]
    relay,      \* each relay's memory
    topic, receipt, epoch,          \* what a read_committed consumer sees; the broker's fence
    offset, consumer,               \* of the group, at the broker; each consumer's memory
    marks, effects,
    budget      \* what may still happen, so that the state space is finite

database == <<running, rows, count, nextXid, nextId, completed, diskXid, diskId>>
broker == <<topic, receipt, epoch>>
inbox == <<offset, consumer, marks, effects>>
vars == <<database, cursor, lease, relay, broker, inbox, budget>>

Xids == 1..Transactions
Max(a, b) == IF a > b THEN a ELSE b
Nobody == "nobody"
None == [xmax |-> 0, xip |-> {}, floor |-> 0, next |-> 0]
Genesis == [done |-> [xmax |-> 1, xip |-> {}, floor |-> 0, next |-> 1], tick |-> None, number |-> 0, id |-> 0]
Asleep == [state |-> "idle", fence |-> 0, epoch |-> 0, position |-> Genesis, opening |-> None, taken |-> {}]

Init ==
    /\ running = <<>> /\ rows = {} /\ count = [k \in Keys |-> 0]
    /\ nextXid = 1 /\ nextId = 1 /\ completed = 0 /\ diskXid = 0 /\ diskId = 0
    /\ cursor = Genesis /\ lease = [holder |-> Nobody, fence |-> 0]
    /\ relay = [r \in Relays |-> Asleep]
    /\ topic = <<>> /\ receipt = Genesis /\ epoch = 0
    /\ offset = 1 /\ consumer = [c \in Consumers |-> [at |-> 1, step |-> "free"]]
    /\ marks = {} /\ effects = <<>>
    /\ budget = [begin |-> Transactions, fault |-> Faults, tick |-> IdleTicks]

-----------------------------------------------------------------------------
(* Writers. Whoever writes a key's state holds its row lock until the end.   *)

Begin(k) ==
    /\ budget.begin > 0 /\ \A x \in DOMAIN running: running[x].key # k
    /\ running' = [x \in DOMAIN running \cup {nextXid} |-> IF x = nextXid THEN [key |-> k, id |-> 0] ELSE running[x]]
    /\ nextXid' = nextXid + 1 /\ budget' = [budget EXCEPT !.begin = @ - 1]
    /\ UNCHANGED <<rows, count, nextId, completed, diskXid, diskId, cursor, lease, relay, broker, inbox>>

Write(x) ==
    /\ x \in DOMAIN running /\ running[x].id = 0
    /\ running' = [running EXCEPT ![x].id = nextId] /\ nextId' = nextId + 1
    /\ UNCHANGED <<rows, count, nextXid, completed, diskXid, diskId, cursor, lease, relay, broker, inbox, budget>>

Without(x) == [y \in DOMAIN running \ {x} |-> running[y]]
Logged == {x \in DOMAIN running: running[x].id # 0}     \* has left a trace in the write-ahead log

(* A commit waits until the log is on disk up to it, and so is what others wrote there before. *)
Commit(x) ==
    LET key == running[x].key IN
    /\ x \in DOMAIN running /\ running[x].id # 0
    /\ rows' = rows \cup {[id |-> running[x].id, xid |-> x, key |-> key, n |-> count[key] + 1]}
    /\ count' = [count EXCEPT ![key] = @ + 1]
    /\ running' = Without(x) /\ completed' = Max(completed, x)
    /\ diskXid' = CHOOSE m \in Logged \cup {diskXid}: \A y \in Logged \cup {diskXid}: y <= m
    /\ diskId' = nextId - 1
    /\ UNCHANGED <<nextXid, nextId, cursor, lease, relay, broker, inbox, budget>>

RollBack(x) ==
    /\ x \in DOMAIN running
    /\ running' = Without(x) /\ completed' = Max(completed, x)
    /\ UNCHANGED <<rows, count, nextXid, nextId, diskXid, diskId, cursor, lease, relay, broker, inbox, budget>>

-----------------------------------------------------------------------------
(* The relay's reading: what the open tick sees and the one before did not.  *)

Visible(x, snapshot) == x < snapshot.xmax /\ x \notin snapshot.xip

Later(row, tick) ==     \* not seen by a tick, as far as numbers tell
    \/ row.xid >= tick.next /\ row.id > tick.floor
    \/ row.xid \in tick.xip
    \/ row.xid >= tick.xmax /\ row.xid < tick.next

Ready(position) ==
    IF BySnapshot
    THEN {row \in rows: row.id > position.id /\ Visible(row.xid, position.tick) /\ Later(row, position.done)}
    ELSE {row \in rows: row.id > position.id}

First(some) == CHOOSE row \in some: \A other \in some: row.id <= other.id
After(position, row) == [position EXCEPT !.id = row.id]
Ahead(a, b) == a.number > b.number \/ (a.number = b.number /\ a.id > b.id)
EventOf(row) == [key |-> row.key, n |-> row.n]
OnTopic(row) == \E i \in 1..Len(topic): topic[i] = EventOf(row)

Step(r, next) == relay' = [relay EXCEPT ![r] = next]
Fall(r) == Step(r, Asleep)
Keeps == UNCHANGED <<running, rows, count, nextXid, nextId, completed>>

Take(r) ==
    /\ relay[r].state = "idle" /\ lease.holder = Nobody
    /\ lease' = [holder |-> r, fence |-> lease.fence + 1]
    /\ Step(r, [Asleep EXCEPT !.state = "leased", !.fence = lease.fence + 1, !.position = cursor])
    /\ UNCHANGED <<database, cursor, broker, inbox, budget>>

(* The lease of a relay that is gone runs out; that of one that lives, if it is slow. *)
RunOut ==
    /\ lease.holder # Nobody
    /\ IF relay[lease.holder].state = "idle" THEN UNCHANGED budget
       ELSE budget.fault > 0 /\ budget' = [budget EXCEPT !.fault = @ - 1]
    /\ lease' = [lease EXCEPT !.holder = Nobody]
    /\ UNCHANGED <<database, cursor, relay, broker, inbox>>

StartProducer(r) ==
    /\ relay[r].state = "leased"
    /\ epoch' = epoch + 1
    /\ Step(r, [relay[r] EXCEPT !.state = "started", !.epoch = epoch + 1])
    /\ UNCHANGED <<database, cursor, lease, topic, receipt, inbox, budget>>

HoldsFence(r) == Fenced => relay[r].fence = lease.fence
HoldsEpoch(r) == Fenced => relay[r].epoch = epoch

Recover(r) ==
    /\ relay[r].state = "started"
    /\ IF Receipts /\ Ahead(receipt, relay[r].position)
       THEN IF HoldsFence(r)
            THEN /\ cursor' = receipt
                 /\ Step(r, [relay[r] EXCEPT !.state = "ready", !.position = receipt])
            ELSE Fall(r) /\ UNCHANGED cursor
       ELSE Step(r, [relay[r] EXCEPT !.state = "ready"]) /\ UNCHANGED cursor
    /\ UNCHANGED <<database, lease, broker, inbox, budget>>

(* One statement, in three steps between which others run: snapshot, floor, next. *)
OpenTick(r) ==
    /\ relay[r].state = "ready" /\ BySnapshot /\ Ready(relay[r].position) = {}
    /\ IF \E row \in rows: ~OnTopic(row) THEN UNCHANGED budget
       ELSE budget.tick > 0 /\ budget' = [budget EXCEPT !.tick = @ - 1]
    /\ Step(r, [relay[r] EXCEPT !.state = "snapshot",
                !.opening = [None EXCEPT !.xmax = completed + 1, !.xip = {x \in DOMAIN running: x <= completed}]])
    /\ UNCHANGED <<database, cursor, lease, broker, inbox>>

TakeFloor(r) ==
    /\ relay[r].state = "snapshot"
    /\ Step(r, [relay[r] EXCEPT !.state = "floor", !.opening.floor = nextId - 1])
    /\ UNCHANGED <<database, cursor, lease, broker, inbox, budget>>

TakeNext(r) ==
    LET p == relay[r].position IN
    /\ relay[r].state = "floor"
    /\ Step(r, [relay[r] EXCEPT !.state = "open", !.opening = None, !.position =
        [done |-> IF p.tick = None THEN p.done ELSE p.tick,
         tick |-> [relay[r].opening EXCEPT !.next = nextXid], number |-> p.number + 1, id |-> 0]])
    /\ UNCHANGED <<database, cursor, lease, broker, inbox, budget>>

Read(r) ==
    LET ready == Ready(relay[r].position) IN
    /\ relay[r].state \in {"ready", "open"}
    /\ IF ready = {}
       THEN relay[r].state = "open" /\ Step(r, [relay[r] EXCEPT !.state = "ready"]) /\ UNCHANGED <<diskXid, diskId>>
       ELSE /\ Step(r, [relay[r] EXCEPT !.state = "read", !.taken = {First(ready)}])
            /\ IF TickKept /\ relay[r].state = "open"
               THEN diskXid' = nextXid - 1 /\ diskId' = nextId - 1
               ELSE UNCHANGED <<diskXid, diskId>>
    /\ Keeps /\ UNCHANGED <<cursor, lease, broker, inbox, budget>>

Row(r) == CHOOSE row \in relay[r].taken: TRUE

(* Rows and receipt appear on the topic together: one transaction of the broker. *)
Send(r) ==
    /\ relay[r].state = IF SendFirst THEN "read" ELSE "moved"
    /\ IF Receipts => HoldsEpoch(r)
       THEN /\ topic' = Append(topic, EventOf(Row(r)))
            /\ receipt' = IF Receipts THEN After(relay[r].position, Row(r)) ELSE receipt
            /\ Step(r, IF SendFirst THEN [relay[r] EXCEPT !.state = "sent"]
                       ELSE [relay[r] EXCEPT !.state = "ready", !.taken = {}])
       ELSE Fall(r) /\ UNCHANGED <<topic, receipt>>
    /\ UNCHANGED <<database, cursor, lease, epoch, inbox, budget>>

MoveCursor(r) ==
    LET position == After(relay[r].position, Row(r)) IN
    /\ relay[r].state = IF SendFirst THEN "sent" ELSE "read"
    /\ IF HoldsFence(r)
       THEN /\ cursor' = position
            /\ Step(r, IF SendFirst THEN [relay[r] EXCEPT !.state = "ready", !.position = position, !.taken = {}]
                       ELSE [relay[r] EXCEPT !.state = "moved", !.position = position])
       ELSE Fall(r) /\ UNCHANGED cursor
    /\ UNCHANGED <<database, lease, broker, inbox, budget>>

(* The broker keeps the position: the cursor in the database may follow later. *)
Pass(r) ==
    /\ relay[r].state = "sent" /\ Receipts
    /\ Step(r, [relay[r] EXCEPT !.state = "ready", !.position = After(relay[r].position, Row(r)), !.taken = {}])
    /\ UNCHANGED <<database, cursor, lease, broker, inbox, budget>>

-----------------------------------------------------------------------------
(* Consumers: any number may believe that they own the partition.            *)

Handled(c) == [at |-> consumer[c].at + 1, step |-> "free"]

Fetch(c) ==     \* only where the offset passes an event before its effect
    /\ ~OffsetAfterEffect /\ consumer[c].step = "free" /\ consumer[c].at <= Len(topic)
    /\ offset' = consumer[c].at + 1
    /\ consumer' = [consumer EXCEPT ![c].step = "fetched"]
    /\ UNCHANGED <<database, cursor, lease, relay, broker, marks, effects, budget>>

Handle(c) ==
    LET event == topic[consumer[c].at] IN
    /\ consumer[c].step = (IF OffsetAfterEffect THEN "free" ELSE "fetched") /\ consumer[c].at <= Len(topic)
    /\ IF event \in marks
       THEN consumer' = [consumer EXCEPT ![c] = Handled(c)] /\ UNCHANGED <<marks, effects>>
       ELSE /\ effects' = Append(effects, event)
            /\ IF MarkWithEffect
               THEN marks' = marks \cup {event} /\ consumer' = [consumer EXCEPT ![c] = Handled(c)]
               ELSE consumer' = [consumer EXCEPT ![c].step = "unmarked"] /\ UNCHANGED marks
    /\ UNCHANGED <<database, cursor, lease, relay, broker, offset, budget>>

Mark(c) ==      \* only where that is a transaction of its own
    /\ consumer[c].step = "unmarked"
    /\ marks' = marks \cup {topic[consumer[c].at]}
    /\ consumer' = [consumer EXCEPT ![c] = Handled(c)]
    /\ UNCHANGED <<database, cursor, lease, relay, broker, offset, effects, budget>>

CommitOffset(c) ==
    /\ OffsetAfterEffect /\ consumer[c].step = "free" /\ offset < consumer[c].at
    /\ offset' = consumer[c].at
    /\ UNCHANGED <<database, cursor, lease, relay, broker, consumer, marks, effects, budget>>

-----------------------------------------------------------------------------
(* kill -9.                                                                  *)

Fault == budget.fault > 0 /\ budget' = [budget EXCEPT !.fault = @ - 1]

KillRelay(r) ==
    /\ relay[r].state # "idle" /\ Fault /\ Fall(r)
    /\ UNCHANGED <<database, cursor, lease, broker, inbox>>

KillConsumer(c) ==
    /\ Fault /\ consumer' = [consumer EXCEPT ![c] = [at |-> offset, step |-> "free"]]
    /\ UNCHANGED <<database, cursor, lease, relay, broker, offset, marks, effects>>

(* What was under way is gone, and its numbers are given out again. A relay that was opening a tick falls with its
   connection; one that has rows in hand may go on with another. *)
KillDatabase ==
    /\ Fault
    /\ running' = <<>> /\ nextXid' = diskXid + 1 /\ nextId' = diskId + 1 /\ completed' = diskXid
    /\ relay' = [r \in Relays |-> IF relay[r].state \in {"snapshot", "floor", "open"} THEN Asleep ELSE relay[r]]
    /\ UNCHANGED <<rows, count, diskXid, diskId, cursor, lease, broker, inbox>>

-----------------------------------------------------------------------------

Relaying(r) == \/ Take(r) \/ StartProducer(r) \/ Recover(r) \/ OpenTick(r) \/ TakeFloor(r) \/ TakeNext(r)
               \/ Read(r) \/ Send(r) \/ MoveCursor(r) \/ Pass(r)
Consuming(c) == Fetch(c) \/ Handle(c) \/ Mark(c) \/ CommitOffset(c)
Writing == \E x \in Xids: Write(x) \/ Commit(x) \/ RollBack(x)

Next == \/ \E k \in Keys: Begin(k)
        \/ \E x \in Xids: Write(x) \/ Commit(x) \/ RollBack(x)
        \/ KillDatabase \/ RunOut
        \/ \E r \in Relays: KillRelay(r)
        \/ \E c \in Consumers: KillConsumer(c)
        \/ \E r \in Relays: Relaying(r)
        \/ \E c \in Consumers: Consuming(c)

Spec == Init /\ [][Next]_vars
Fair == /\ WF_vars(Writing) /\ WF_vars(RunOut)
        /\ \A r \in Relays: WF_vars(Relaying(r))
        /\ \A c \in Consumers: WF_vars(Consuming(c))
FairSpec == Spec /\ Fair

-----------------------------------------------------------------------------
(* P2, as a state: what is committed is on the topic, or still ahead of where the next relay begins; and no offset
   passes what is not handled. *)

Start == IF Receipts /\ Ahead(receipt, cursor) THEN receipt ELSE cursor

StillAhead(row, position) ==
    IF ~BySnapshot THEN row.id > position.id
    ELSE \/ position.tick = None /\ Later(row, position.done)
         \/ position.tick # None /\ (row \in Ready(position) \/ Later(row, position.tick))

NothingLost ==
    /\ \A row \in rows: OnTopic(row) \/ StillAhead(row, Start)
    /\ \A i \in 1..(offset - 1): topic[i] \in marks

(* P3 and P4: of each key the effects are its commits, each once and in order. *)
OfKey(seq, k) == SelectSeq(seq, LAMBDA event: event.key = k)
OnceInOrder(seq) == \A k \in Keys: \A i \in 1..Len(OfKey(seq, k)): OfKey(seq, k)[i].n = i

EffectOnceInOrder == OnceInOrder(effects)

(* And in exactly-once mode the topic shows them so, to whoever reads it. *)
TopicOnceInOrder == OnceInOrder(topic)

(* Which key, relay or consumer is which makes no difference. (Not to be used for EverythingArrives.) *)
Symmetry == Permutations(Keys) \cup Permutations(Relays) \cup Permutations(Consumers)

(* P2, as a promise: once nothing fails any more, everything committed has its effect. *)
Done == \A row \in rows: \E i \in 1..Len(effects): effects[i] = EventOf(row)
EverythingArrives == <>[]Done
=============================================================================
