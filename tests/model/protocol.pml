/* The ownership and dispatch protocol of one partition, for exhaustive checking with SPIN. README.md says what is
 * modelled, what is left out and how to run it; run.py runs every configuration and every mutant.
 *
 * Each `d_step` is one step of the protocol that nothing can come between. A process that is paused is one that SPIN
 * does not schedule, so pauses of any length, between any two steps, are covered without being written down.
 *
 * Configurations:  KEYED  the ESP honours idempotency keys       LANES  two recipients and one dispatch slot, instead
 *                  HALT   ordering.on_ambiguous = "halt"                of two steps of one sequence
 * FAULTS bounds how many crashes, takeovers from a live owner, failed commits, slow requests and ESP faults there are.
 */
#include "state.pml"

#define ROW v_state[AT(i, m)]
#define MINE (a_process[v_attempt[AT(i, m)]] == i)
#define RESULT a_state[v_attempt[AT(i, m)]]
#ifdef M_NO_WAIT
#define WAITED true
#else
/* Deadline + time-out + 1 s, counted from the fence: the old intent can no longer be handed over, and a request that
 * was handed over before has come to its end. */
#define WAITED (HAS_RESULT(RESULT) || (RESULT != OnWire && a_expired[v_attempt[AT(i, m)]]))
#endif
#ifdef M_ACCEPT_UNPROVEN
#define PROVEN_FOR_LATE_INPUT true
#else
#define PROVEN_FOR_LATE_INPUT proven_since_ack[i]
#endif

/* A zombie's overlay can no longer leave its memory, so what it would still decide is not explored. */
#define SERVES(i) (is[i] == Serving && holder == i)
#define INPUT_NEXT (ROW == Unread && (m == 0 || v_state[AT(i, 0)] != Unread))

inline take_input(i, m) {
    if
    :: v_suppressed[i] ->
        after_ack[m] = 0; /* kept no longer than it matters */
        end_message(i, m, Suppressed); printf("%c: takes the input of step %d: suppressed\n", NAME(i), m + 1)
    :: else -> back_to_ready(i, m); printf("%c: takes the input of step %d\n", NAME(i), m + 1)
    fi
}

/* What the partition's thread of instance i does with message m. */
proctype message(byte i; byte m) {
    do
    /* An input is decided once the view is fresh as of its arrival, hence of its production. */
    :: d_step { SERVES(i) && INPUT_NEXT && FRESH(i) -> after_ack[m] = 0; take_input(i, m) }
    :: d_step {
        SERVES(i) && INPUT_NEXT && suppression != NotYet && PROVEN_FOR_LATE_INPUT -> after_ack[m] = 1; take_input(i, m)
    }
    :: d_step {
        SERVES(i) && ROW == Ready && TURN(i, m) && FRESH(i) && (v_suppressed[i] || HALTED(i, m) || SLOT_FREE(i)) ->
        attempt(i, m)
    }
    :: d_step {
        SERVES(i) && ROW == Sending && MINE && HAS_RESULT(RESULT) ->
        if
        :: RESULT == Accepted -> end_message(i, m, Sent); printf("%c: step %d sent\n", NAME(i), m + 1)
        :: RESULT == Refused -> back_to_ready(i, m); printf("%c: step %d again\n", NAME(i), m + 1)
        :: else -> in_doubt(i, m); printf("%c: step %d in doubt\n", NAME(i), m + 1)
        fi
    }
    :: d_step {
        SERVES(i) && ROW == Sending && !MINE && FRESH(i) && WAITED ->
        REACHED(5, v_suppressed[i]);
        REACHED(6, !v_suppressed[i]);
        printf("%c: decides about attempt %d of step %d, in doubt\n", NAME(i), v_attempt[AT(i, m)], m + 1);
        if
        :: v_suppressed[i] -> end_message(i, m, Ambiguous)
        :: else -> in_doubt(i, m)
        fi
    }
    od
}

#ifdef M_RESTORE_FIRST
#define BEFORE_FENCE Restored
#else
#define BEFORE_FENCE Idle
#endif

#define MAY_TAKE(i) ((holder != Nobody || i == 0) && (holder != 1 - i || faults < FAULTS))

/* Assignment, fencing, commits, suppressions, freshness and faults of instance i. */
proctype instance(byte i) {
    do
#ifdef M_RESTORE_FIRST
    :: d_step {
        is[i] == Idle && MAY_TAKE(i) ->
        is[i] = Restored; restore(i); printf("%c: restores\n", NAME(i))
    }
#endif
#ifdef M_REUSE_PRODUCER
    :: d_step { /* goes on with the producer whose commit is unknown */
        is[i] == Idle && holder == i && in_flight[i] ->
        for (g : 0 .. 1) {
            p_state[AT(i, g)] = v_state[AT(i, g)];
            p_attempt[AT(i, g)] = v_attempt[AT(i, g)];
            p_maybe[AT(i, g)] = v_maybe[AT(i, g)];
            p_outcome[AT(i, g)] = v_outcome[AT(i, g)]
        }
        p_suppressed[i] = v_suppressed[i];
        p_receipt[i] = v_receipt[i];
        p_open[i] = 1;
        in_flight[i] = 0;
        restore(i); begin(i); printf("%c: reads the ledger again, keeps its producer\n", NAME(i))
    }
    :: d_step {
        p_open[i] && holder == i ->
        for (g : 0 .. 1) {
            l_state[g] = p_state[AT(i, g)];
            l_attempt[g] = p_attempt[AT(i, g)];
            l_maybe[g] = p_maybe[AT(i, g)];
            outcomes[g] = outcomes[g] + p_outcome[AT(i, g)];
            assert(G4_no_loss || outcomes[g] <= 1)
        }
        l_suppressed = p_suppressed[i];
        receipts = receipts + p_receipt[i];
        assert(G4_no_loss || receipts <= 1);
        close_earlier(i); settle(); printf("broker: the late commit of %c arrives\n", NAME(i))
    }
#endif
    /* Takes over where the owner is gone, or was this process itself; from a live owner it is a fault: a rebalance
     * during a pause, or a second group on the same ledger. */
    :: d_step {
        is[i] == BEFORE_FENCE && MAY_TAKE(i) ->
        faults = faults + (holder == 1 - i);
        fence(i);
#ifndef M_RESTORE_FIRST
        restore(i); /* nobody else can write the ledger now, so this may as well be the same step */
#endif
        begin(i); printf("%c: fences and begins\n", NAME(i))
    }

    /* One transaction: seal, then the broker's answer, one of four. */
    :: d_step {
        SERVES(i) && v_changed[i] ->
        is[i] = Committing;
#ifdef M_STORE_FIRST
        for (g : 0 .. 1) {
            s_state[AT(i, g)] = (v_state[AT(i, g)] == Sending -> l_state[g] : v_state[AT(i, g)])
        }
        s_suppressed[i] = v_suppressed[i];
        s_ahead[i] = 1;
        g = 0;
#endif
        printf("%c: seals\n", NAME(i))
    }
    :: d_step {
        is[i] == Committing && holder == i ->
        commit_batch(i);
        for (g : 0 .. K - 1) {
            if
            :: a_process[g] == i && a_state[g] == Decided && /* not one that this batch withdrew */
               (REFERS(l_state[0], l_attempt[0], g) || REFERS(l_state[1], l_attempt[1], g)) -> a_state[g] = Queued
            :: else
            fi
        }
        is[i] = Serving; settle(); printf("%c: committed, its intents go to the HTTP side\n", NAME(i))
    }
    :: d_step {
        is[i] == Committing && holder == i && faults < FAULTS ->
        faults++; leave(i); printf("%c: its commit is aborted\n", NAME(i))
    }
    :: d_step {
        is[i] == Committing && holder == i && faults < FAULTS ->
        faults++; is[i] = Idle; end_epoch(i); in_flight[i] = 1; printf("%c: does not know its commit\n", NAME(i))
    }
    :: d_step { in_flight[i] && holder == i ->
        commit_batch(i); in_flight[i] = 0; drop_view(i); settle();
        printf("broker: the late commit of %c arrives\n", NAME(i))
    }
    /* Told that it is fenced by its commit, or by the group at any time before. */
    :: d_step { (is[i] == Committing || is[i] == Serving) && holder != i ->
        leave(i); printf("%c: learns that it lost the partition\n", NAME(i))
    }

    /* Applies, counts, then calls it fresh. */
    :: d_step {
        is[i] == Serving && suppression != NotYet && !v_suppressed[i] ->
        v_suppressed[i] = 1;
        v_receipt[i] = (holder == i);
        v_changed[i] = (holder == i);
        for (g : 0 .. K - 1) {
            if
            :: a_process[g] == i && a_state[g] != Free -> a_touched[g] = 1
            :: else
            fi
        }
        g = 0; printf("%c: applies the suppression\n", NAME(i))
    }
    :: d_step { is[i] == Serving && !proven_since_ack[i] && suppression != NotYet && v_suppressed[i] ->
        proven_since_ack[i] = 1; printf("%c: is proven fresh, suppression applied\n", NAME(i)) }

    :: d_step {
        is[i] != Idle && faults < FAULTS ->
        faults++;
        used = 0;
        for (g : 0 .. 1) {
            used = used + (l_state[g] == Sending && a_process[l_attempt[g]] == i)
        }
        assert(bounded_doubt || used <= 1); /* dispatch slots */
        used = 0;
        for (g : 0 .. K - 1) {
            if
            :: a_process[g] == i && a_state[g] != Free ->
                a_process[g] = Dead;
                a_epoch[g] = 0;
                a_touched[g] = 0;
                a_expired[g] = 0;
                a_state[g] = (a_state[g] == OnWire -> OnWire : Gone)
            :: else
            fi
        }
        is[i] = Idle;
        proven_since_ack[i] = 0;
        holder = (holder == i -> Dead : holder);
        drop_view(i); settle(); printf("%c: crashes, starts again\n", NAME(i))
    }
    od
}

/* Whether another request of the same recipient is on its way. */
#ifdef LANES
#define ALSO_ON_WIRE(a, b) ((b) != (a) && a_state[b] == OnWire && a_message[b] == a_message[a])
#else
#define ALSO_ON_WIRE(a, b) ((b) != (a) && a_state[b] == OnWire)
#endif

#ifdef M_NO_EPOCH
#define EPOCH_GOES_ON(a) true
#else
#define EPOCH_GOES_ON(a) a_epoch[a]
#endif
#ifdef M_NO_DEADLINE
#define IN_TIME(a) true
#else
#define IN_TIME(a) (!a_expired[a])
#endif
#ifdef M_NO_RECHECK
#define UNTOUCHED(a) true
#else
#define UNTOUCHED(a) (!a_touched[a])
#endif
#define ALIVE(a) (a_process[a] < Dead)

inline execute(a) {
#if defined(KEYED) && !defined(M_NEW_KEY)
    executed[a_message[a]] = 1; /* again with the same key: the ESP repeats its answer */
#else
    executed[a_message[a]] = executed[a_message[a]] + 1;
#endif
    assert(G3_no_duplicate || executed[a_message[a]] <= 1)
}

/* The HTTP side and the ESP, for attempt a. */
proctype request(byte a) {
    do
    /* The last check and the write are one step: a pause between them is the limit that no software can close. */
    :: d_step {
        a_state[a] == Queued && EPOCH_GOES_ON(a) && IN_TIME(a) && FRESH(a_process[a]) && UNTOUCHED(a) ->
        a_state[a] = OnWire;
        printf("%c: hands attempt %d of step %d over\n", NAME(a_process[a]), a, a_message[a] + 1);
        assert(G2_suppression || suppression != Overdue);
        assert(G2_suppression || !after_ack[a_message[a]]);
        assert(G3_no_duplicate || outcomes[a_message[a]] == 0);
        used = ALSO_ON_WIRE(a, 0) + ALSO_ON_WIRE(a, 1) + ALSO_ON_WIRE(a, 2) + ALSO_ON_WIRE(a, 3) + ALSO_ON_WIRE(a, 4);
        assert(G1_order || used == 0); /* one request in flight per recipient */
        used = 0;
#ifndef LANES
        assert(G1_order || a_message[a] == 0 || ENDED(l_state[0]));
        assert(G1_order || a_message[a] == 0 || l_state[0] != Sent || executed[0] == 1);
#endif
#ifdef HALT
        assert(G1_order || a_message[a] == 0 || l_state[0] != Ambiguous);
#endif
    }
    :: d_step {
        a_state[a] == Queued && !(EPOCH_GOES_ON(a) && IN_TIME(a) && FRESH(a_process[a]) && UNTOUCHED(a)) ->
        REACHED(7, !EPOCH_GOES_ON(a) && IN_TIME(a) && FRESH(a_process[a]) && UNTOUCHED(a));
        REACHED(8, EPOCH_GOES_ON(a) && !IN_TIME(a) && FRESH(a_process[a]) && UNTOUCHED(a));
        REACHED(9, EPOCH_GOES_ON(a) && IN_TIME(a) && !FRESH(a_process[a]) && UNTOUCHED(a));
        REACHED(10, EPOCH_GOES_ON(a) && IN_TIME(a) && FRESH(a_process[a]) && !UNTOUCHED(a));
        printf("%c: the last check refuses attempt %d of step %d\n", NAME(a_process[a]), a, a_message[a] + 1);
        a_state[a] = Refused; settle()
    }
    /* While its owner holds the partition, a deadline passes only where the HTTP side is slow: a fault. */
    :: d_step {
        (a_state[a] == Queued || a_state[a] == Decided) && ALIVE(a) && !a_expired[a] &&
        (holder != a_process[a] || (a_state[a] == Queued && faults < FAULTS)) ->
        faults = faults + (holder == a_process[a]);
        a_expired[a] = 1; printf("time: the deadline of attempt %d passes\n", a)
    }
    /* A request ends, executed or not; in between nobody can tell the difference. */
    :: d_step { a_state[a] == OnWire && ALIVE(a) ->
        execute(a); a_state[a] = Accepted; settle(); printf("ESP: executes attempt %d, its answer arrives\n", a) }
    :: d_step { a_state[a] == OnWire && ALIVE(a) && faults < FAULTS ->
        faults++; execute(a); a_state[a] = NoAnswer; settle();
        printf("ESP: executes attempt %d, its answer is lost\n", a) }
    :: d_step { a_state[a] == OnWire && ALIVE(a) && faults < FAULTS ->
        faults++; a_state[a] = NoAnswer; settle(); printf("ESP: never sees attempt %d\n", a) }
    :: d_step { a_state[a] == OnWire && ALIVE(a) && faults < FAULTS ->
        faults++; a_state[a] = Refused; settle(); printf("ESP: not now, to attempt %d\n", a) }
    :: d_step { a_state[a] == OnWire && !ALIVE(a) ->
        execute(a); a_state[a] = Gone; settle(); printf("ESP: executes attempt %d of a dead process\n", a) }
    :: d_step { a_state[a] == OnWire && !ALIVE(a) ->
        a_state[a] = Gone; settle(); printf("ESP: never sees attempt %d of a dead process\n", a) }
    od
}

proctype outside() {
    do
    :: d_step { suppression == NotYet -> suppression = Acked; printf("input: a suppression, acknowledged\n") }
    :: d_step { suppression == Acked -> suppression = Overdue; printf("time: F has passed since the suppression\n") }
    od
}

init {
    atomic {
        run instance(0); run instance(1);
        run message(0, 0); run message(0, 1); run message(1, 0); run message(1, 1);
        run request(0); run request(1); run request(2); run request(3); run request(4);
        run outside()
    }
    /* Nothing can happen any more. There are no cycles (checked apart), so every run ends here. */
    timeout -> d_step {
        assert(G4_no_loss || (outcomes[0] == 1 && outcomes[1] == 1 && receipts == 1));
        assert(G3_no_duplicate || ((executed[0] == 0 || l_state[0] == Sent || l_state[0] == Ambiguous) &&
                                   (executed[1] == 0 || l_state[1] == Sent || l_state[1] == Ambiguous)));
        REACHED(1, l_state[0] == Sent && l_state[1] == Sent && faults == FAULTS);
        REACHED(2, l_state[0] == Sent && l_state[1] == Suppressed && faults == FAULTS);
        REACHED(3, l_state[0] == Ambiguous && l_state[1] == Sent);
        REACHED(4, l_state[1] == Expired)
    }
}
