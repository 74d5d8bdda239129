/* What protocol.pml is about: the states, what is durable, what is in memory, and the parts of its steps. */
#ifndef FAULTS
#define FAULTS 3
#endif
#define K 5 /* attempts that may be remembered at once; an assertion tells where it is too few */

/* Instances 0 and 1. `Dead` owns what a crashed process left behind: to a restarted one it is another process's. */
#define Dead 2
#define Nobody 3
#define NAME(i) ('A' + (i))

/* States of an instance. */
#define Idle 0 /* does not serve the partition: not assigned, restarting it, or started again after a crash */
#define Serving 1
#define Committing 2 /* blocked in the commit of one transaction */
#define Restored 3   /* only where a mutant restores before it fences */

/* States of a message. `Unread`: its input is not accounted for. */
#define Unread 0
#define Ready 1
#define Sending 2
#define Sent 3
#define Suppressed 4
#define Ambiguous 5
#define Expired 6
#define ENDED(state) ((state) >= Sent)

/* States of an attempt, as the attempt registry of its process knows it. */
#define Free 0
#define Decided 1 /* its intent is in a transaction; not with the HTTP side */
#define Queued 2  /* submitted, before the last check */
#define OnWire 3  /* the last check passed, the bytes left */
#define Accepted 4
#define Refused 5 /* definite: not handed over, or the ESP said "not now" */
#define NoAnswer 6
#define Gone 7 /* its process died; nothing is on its way any more */
#define HAS_RESULT(state) ((state) >= Accepted)


/* The suppression. */
#define NotYet 0
#define Acked 1
#define Overdue 2 /* F has passed since */

#define AT(i, m) ((i) * 2 + (m))
/* A proof asked before the suppression was acknowledged at t is worth nothing from t + F on; until then the model lets
 * every instance have one at any time. One asked after t is reached only once the suppression is applied. */
#define FRESH(i) (proven_since_ack[i] || suppression != Overdue)

/* They stand in an assertion so that its message tells which promise broke; and to see whether a mutant breaks one
 * promise in particular, the others are switched off with -DONLY=n. */
#ifndef ONLY
#define ONLY 0
#endif
#define OFF(n) (ONLY != 0 && ONLY != n)
bit G1_order = OFF(1);
bit G2_suppression = OFF(2);
bit G3_no_duplicate = OFF(3);
bit G4_no_loss = OFF(4);
bit bounded_doubt = OFF(5);

/* Where a model never comes it proves nothing. Built with WITNESSES, each place that must be reached is an error. */
#ifdef WITNESSES
bit witness; /* always 0 */
#define REACHED(n, condition) assert(witness * n || !(condition))
#else
#define REACHED(n, condition) skip
#endif

/* --- the ledger topic, the outcomes topic, the transaction coordinator --- */
byte l_state[2];
byte l_attempt[2]; /* of the open intent */
bit l_maybe[2];    /* an earlier attempt may have been executed */
bit l_suppressed;
byte outcomes[2];
byte receipts;
byte holder = Nobody; /* whose producer is not fenced; Dead: that process crashed */

/* --- the inputs, the ESP, the faults --- */
bit after_ack[2]; /* produced after the suppression was acknowledged; chosen when the input is taken */
byte suppression;
byte executed[2];
byte faults;

/* --- what instance i holds in memory: its overlay over the ledger, one batch; index AT(i, m) --- */
byte is[2];
byte v_state[4];
byte v_attempt[4];
bit v_maybe[4];
bit v_outcome[4];
bit v_suppressed[2];
bit v_receipt[2];
bit v_changed[2];
bit proven_since_ack[2];
bit in_flight[2]; /* a commit that was given up on may still arrive */

/* --- attempts --- */
byte a_state[K];
byte a_process[K];
byte a_message[K];
bit a_expired[K];  /* the intent's deadline has passed */
bit a_epoch[K];    /* the epoch it was decided in goes on */
bit a_touched[K];  /* a suppression was applied since its decision */

#ifdef M_STORE_FIRST /* a store that may be ahead of the ledger */
byte s_state[4];
bit s_suppressed[2];
bit s_ahead[2];
#endif
#ifdef M_REUSE_PRODUCER /* a transaction that is still open while the next one begins */
byte p_state[4];
byte p_attempt[4];
bit p_maybe[4];
bit p_outcome[4];
bit p_suppressed[2];
bit p_receipt[2];
bit p_open[2];
#endif

/* Scratch, worth nothing between two steps. A breadth-first search cannot hide it from the state. */
#ifdef BREADTH_FIRST
#define SCRATCH byte
#else
#define SCRATCH hidden byte
#endif
SCRATCH g;
SCRATCH slot;
SCRATCH used;

#define REFERS(s, a, g) ((s) == Sending && (a) == (g))
#ifdef M_REUSE_PRODUCER
#define P_REFERS(g) (REFERS(p_state[0], p_attempt[0], g) || REFERS(p_state[1], p_attempt[1], g) || \
                     REFERS(p_state[2], p_attempt[2], g) || REFERS(p_state[3], p_attempt[3], g))
#else
#define P_REFERS(g) false
#endif
#define REFERRED(g) (REFERS(l_state[0], l_attempt[0], g) || REFERS(l_state[1], l_attempt[1], g) || \
                     REFERS(v_state[0], v_attempt[0], g) || REFERS(v_state[1], v_attempt[1], g) || \
                     REFERS(v_state[2], v_attempt[2], g) || REFERS(v_state[3], v_attempt[3], g) || P_REFERS(g))

inline free_attempt(a) {
    a_state[a] = Free;
    a_process[a] = 0;
    a_message[a] = 0;
    a_expired[a] = 0;
    a_epoch[a] = 0;
    a_touched[a] = 0
}

/* Forgets attempts that concern nobody any more. */
inline settle() {
    for (g : 0 .. K - 1) {
        if
        :: (a_state[g] == Decided || HAS_RESULT(a_state[g])) && !REFERRED(g) -> free_attempt(g)
        :: else
        fi
    }
    g = 0
}

inline drop_view(i) {
    for (g : 0 .. 1) {
        v_state[AT(i, g)] = Unread;
        v_attempt[AT(i, g)] = 0;
        v_maybe[AT(i, g)] = 0;
        v_outcome[AT(i, g)] = 0
    }
    v_suppressed[i] = 0;
    v_receipt[i] = 0;
    v_changed[i] = 0
}

inline end_epoch(i) {
    for (g : 0 .. K - 1) {
        if
        :: a_process[g] == i -> a_epoch[g] = 0
        :: else
        fi
    }
}

inline end_message(i, m, state) {
    v_state[AT(i, m)] = state;
    v_attempt[AT(i, m)] = 0;
    v_maybe[AT(i, m)] = 0;
    v_outcome[AT(i, m)] = 1;
    v_changed[i] = 1
}

inline back_to_ready(i, m) {
    v_state[AT(i, m)] = Ready;
    v_attempt[AT(i, m)] = 0;
    v_changed[i] = 1
}

/* Nobody knows whether the attempt was executed. */
inline in_doubt(i, m) {
#if defined(KEYED) || defined(M_UNKEYED_RESEND)
    back_to_ready(i, m);
    v_maybe[AT(i, m)] = 1
#else
    end_message(i, m, Ambiguous)
#endif
}

#ifdef M_REUSE_PRODUCER
inline close_earlier(i) {
    for (g : 0 .. 1) {
        p_state[AT(i, g)] = 0;
        p_attempt[AT(i, g)] = 0;
        p_maybe[AT(i, g)] = 0;
        p_outcome[AT(i, g)] = 0
    }
    p_suppressed[i] = 0;
    p_receipt[i] = 0;
    p_open[i] = 0
}
#endif

/* The broker commits the transaction of instance i: its rows, outcomes and receipts at once. */
inline commit_batch(i) {
    for (g : 0 .. 1) {
        l_state[g] = v_state[AT(i, g)];
        l_attempt[g] = v_attempt[AT(i, g)];
        l_maybe[g] = v_maybe[AT(i, g)];
        outcomes[g] = outcomes[g] + v_outcome[AT(i, g)];
        v_outcome[AT(i, g)] = 0;
        assert(G4_no_loss || outcomes[g] <= 1);
        assert(G3_no_duplicate || l_state[g] != Sent || executed[g] == 1)
    }
    l_suppressed = v_suppressed[i];
    receipts = receipts + v_receipt[i];
    v_receipt[i] = 0;
    v_changed[i] = 0;
    assert(G4_no_loss || receipts <= 1);
#ifdef M_STORE_FIRST
    s_ahead[0] = 0;
    s_ahead[1] = 0;
#endif
#ifdef M_REUSE_PRODUCER
    if
    :: p_open[i] -> /* the earlier records belong to the same transaction */
        for (g : 0 .. 1) {
            outcomes[g] = outcomes[g] + p_outcome[AT(i, g)];
            assert(G4_no_loss || outcomes[g] <= 1)
        }
        receipts = receipts + p_receipt[i];
        assert(G4_no_loss || receipts <= 1);
        close_earlier(i)
    :: else
    fi;
#endif
    g = 0
}

/* init_transactions: fences the predecessor, aborts whatever transaction is open. */
inline fence(i) {
    holder = i;
    for (slot : 0 .. 1) {
        if
        :: in_flight[slot] -> in_flight[slot] = 0; drop_view(slot)
        :: slot != i && (is[slot] == Serving || is[slot] == Committing) ->
            /* A zombie now: of its overlay only the suppression still matters. */
            used = v_suppressed[slot];
            drop_view(slot);
            v_suppressed[slot] = used;
            used = 0;
            is[slot] = Serving
        :: else
        fi;
#ifdef M_REUSE_PRODUCER
        close_earlier(slot)
#endif
    }
    slot = 0
}

/* Reads the ledger to its end. In the protocol the store never holds what the ledger does not, and replaying upserts
 * converges: so what is restored is the ledger. */
inline restore(i) {
    for (g : 0 .. 1) {
        v_state[AT(i, g)] = l_state[g];
        v_attempt[AT(i, g)] = l_attempt[g];
        v_maybe[AT(i, g)] = l_maybe[g];
        v_outcome[AT(i, g)] = 0
    }
    v_suppressed[i] = l_suppressed;
    v_receipt[i] = 0;
    v_changed[i] = 0;
#ifdef M_STORE_FIRST
    if
    :: s_ahead[i] ->
        for (g : 0 .. 1) {
            v_state[AT(i, g)] = s_state[AT(i, g)];
            v_attempt[AT(i, g)] = (s_state[AT(i, g)] == Sending -> v_attempt[AT(i, g)] : 0)
        }
        v_suppressed[i] = s_suppressed[i]
    :: else
    fi;
#endif
#ifndef M_KEEP_PROOF
    proven_since_ack[i] = 0;
#endif
    g = 0
}

/* What the registry says of the open intents: one of ours that was never submitted is withdrawn; every other one of
 * ours is awaited; one of another process is in doubt. */
inline begin(i) {
    for (g : 0 .. 1) {
        if
        :: v_state[AT(i, g)] == Sending && a_process[v_attempt[AT(i, g)]] == i &&
#ifndef M_REGISTRY_FORGETS
           a_state[v_attempt[AT(i, g)]] == Decided &&
#endif
           true -> back_to_ready(i, g)
        :: else
        fi
    }
    is[i] = Serving;
    settle()
}

/* The partition is lost, or restarts: whatever was decided and not committed is forgotten. */
inline leave(i) {
    is[i] = Idle;
    end_epoch(i);
    drop_view(i);
#ifndef M_KEEP_PROOF
    proven_since_ack[i] = 0;
#endif
    settle()
}

inline free_slot() {
    slot = 0;
    do
    :: slot < K && a_state[slot] != Free -> slot++
    :: else -> break
    od;
    assert(slot < K) /* else the model is too small */
}

#if defined(LANES) || defined(M_NO_TURN)
#define TURN(i, m) true
#else
#define TURN(i, m) ((m) == 0 || ENDED(v_state[AT(i, 0)]))
#endif
#ifdef HALT
#define HALTED(i, m) ((m) == 1 && v_state[AT(i, 0)] == Ambiguous)
#else
#define HALTED(i, m) false
#endif
/* A dispatch slot is taken from the decision until the result is committed. Steps of one sequence wait for each other
 * anyway; two slots let the result of one and the intent of the next be in one transaction. */
#define TAKES_SLOT(i, g) (a_process[g] == (i) && (a_state[g] >= Queued || (a_state[g] == Decided && \
    (REFERS(v_state[AT(i, 0)], v_attempt[AT(i, 0)], g) || REFERS(v_state[AT(i, 1)], v_attempt[AT(i, 1)], g)))))
#if defined(LANES) && !defined(M_NO_CREDIT)
#define SLOT_FREE(i) (TAKES_SLOT(i, 0) + TAKES_SLOT(i, 1) + TAKES_SLOT(i, 2) + TAKES_SLOT(i, 3) + TAKES_SLOT(i, 4) < 1)
#else
#define SLOT_FREE(i) true
#endif

/* Decides message m, whose turn it is, at instance i. */
inline attempt(i, m) {
    if
    :: HALTED(i, m) ->
        end_message(i, m, Expired);
        printf("%c: step %d expires: its sequence is halted\n", NAME(i), m + 1)
    :: else ->
        if
        :: v_suppressed[i] && v_maybe[AT(i, m)] ->
            end_message(i, m, Ambiguous); printf("%c: step %d ambiguous: suppressed while in doubt\n", NAME(i), m + 1)
        :: v_suppressed[i] && !v_maybe[AT(i, m)] ->
            end_message(i, m, Suppressed); printf("%c: step %d suppressed at send\n", NAME(i), m + 1)
        :: else ->
            free_slot();
            a_state[slot] = Decided;
            a_process[slot] = i;
            a_message[slot] = m;
            a_epoch[slot] = 1;
            v_state[AT(i, m)] = Sending;
            v_attempt[AT(i, m)] = slot;
            v_changed[i] = 1;
#ifdef M_SEND_BEFORE_COMMIT
            a_state[slot] = Queued;
#endif
            printf("%c: decides attempt %d of step %d\n", NAME(i), slot, m + 1);
            slot = 0
        fi
    fi;
    settle()
}
