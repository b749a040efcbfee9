/* The promotion protocol, for Spin: NV requests with a key and `if_holder`, one for each version, to NR servers of one
   database, while people record the NA pieces of evidence that the gate of a version asks for and somebody changes
   what that evidence is about.

   One step of a transaction is one label. The labels are those of the table in test_promotion_model.py, which names the
   function that takes the step and checks, on a real promotion, that the functions are called in this order.
   The server may die inside the transaction: what it did is gone, the client sends the same request to any server.
   Every answer may be lost on its way: the same.

   Holds: one holder at most in what is committed; a promotion replaces the holder that it named and nobody else; the
   evidence is about what it is about at the commit; one effect per key, and the retry's answer is the first one's; who
   was told of a success can rely on it; the log has one entry per effect; nobody waits for ever (no deadlock).

   Without a protection there must be an error; after the dash the server with the same bug (tests/races/mutants.py):
   NOCAS: `if_holder` is not compared - no_compare
   NODIGEST: the gate judges what was read before the transaction - decided_outside
   NOIDEM: keys are ignored - no_keys
   MEMKEYS: keys are kept by the process, not in the transaction - keys_in_memory
   EARLY: answered before the commit - answer_before_commit
   NOLOCK with NOINDEX: transactions overlap, and the unique index is gone - stale_decision_no_index */
#ifndef NV
#define NV 2
#endif
#ifndef NR
#define NR 2
#endif
#ifndef NA
#define NA 1
#endif
#define SUCCEEDED 1
#define REFUSED 2
#define ONE(mask) (((mask) & ((mask) - 1)) == 0)
#define BIT(version) (1 << (version))
/* what a kill does: the database forgets the transaction, the process its memory */
#define MAY_DIE if :: skip :: atomic { unlock(); forget(); end_of_transaction(); said = 0; goto lost } fi

byte subject[NV];           /* what the evidence is about: the digest, or what is said of a version */
byte evidence[NV * NA];     /* subject + 1 when it was recorded, 0: not yet */
byte holders;               /* the open tenures of the exclusive slot, a bit for a version */
byte entries;               /* size of the log */
byte outcome[NV];           /* the table of keys */
bool head;                  /* the lock of the log's head; the writer's transaction on SQLite */
bool memory[NR * NV];       /* what the processes know by themselves: only MEMKEYS looks at it */
byte effects[NV];           /* ghost: committed effects of a request */
byte told[NV];              /* ghost: what its client was told */

inline judge(version, says) {
  d_step {
    says = true; at = 0;
    do
    :: at < NA -> says = says && (evidence[version * NA + at] == subject[version] + 1); at++
    :: else -> break
    od;
    at = 0
  }
}
inline unlock() { head = false }
/* what is over is forgotten: states that differ in nothing that counts are one */
inline end_of_transaction() { before = 0; leaving = 0; size = 0; server = 0; good = false }
inline forget() {
#ifdef MEMKEYS
  at = 0;
  do
  :: at < NV -> memory[server * NV + at] = false; at++
  :: else -> break
  od;
  at = 0
#else
  skip
#endif
}

proctype request(byte version) {
  byte named, before, leaving, size, said, server, at;
  bool passed, good, again;
  atomic { named = holders; judge(version, passed) };        /* the client looks, and asks for what it saw */
send:
  atomic { select (server : 0 .. NR - 1) };
begin:
#ifdef NOLOCK
  size = entries;
#else
  atomic { !head -> head = true; size = entries };
#endif
once:
  MAY_DIE;
  if
#ifdef MEMKEYS
  :: memory[server * NV + version] -> atomic { said = outcome[version]; end_of_transaction(); unlock(); goto answer }
#else
#ifndef NOIDEM
  :: outcome[version] -> atomic { said = outcome[version]; end_of_transaction(); unlock(); goto answer }
#endif
#endif
  :: else -> skip
  fi;
look:
  before = holders;
decide:
  atomic {
#ifndef NODIGEST
    judge(version, passed);
#endif
    if
    :: !passed -> said = REFUSED
#ifndef NOCAS
    :: named != before -> said = REFUSED
#endif
    :: else -> said = SUCCEEDED
    fi
  };
  leaving = 0;
  if
  :: said == REFUSED -> goto promotion                       /* recorded like a success */
  :: else -> skip
  fi;
/* the rows of the next steps are this transaction's own until `commit`: to die at one of them is to die at `seal` */
close:
  leaving = before & ~BIT(version);
open:
  skip;
promotion:
  skip;
record:
  skip;
keep:
  skip;
#ifdef MEMKEYS
  memory[server * NV + version] = true;
#endif
#ifdef EARLY
  told[version] = said;
#endif
seal:
  MAY_DIE;
commit:
  atomic {
    if
    :: said == SUCCEEDED ->
#ifndef NOINDEX
       if
       :: !ONE((holders & ~leaving) | BIT(version)) -> unlock(); goto done      /* the constraint says no: Conflict */
       :: else -> skip
       fi;
#endif
       judge(version, good);
       assert(good);
       assert(before == named);
       holders = (holders & ~leaving) | BIT(version);
    :: else -> skip
    fi;
    assert(ONE(holders));
#ifndef NOINDEX
    assert(size == entries);
#endif
    entries++; effects[version]++; outcome[version] = said;
    assert(effects[version] == 1);
    end_of_transaction(); unlock()
  };
answer:
  if
  :: assert(outcome[version] == said && (told[version] == 0 || told[version] == said));
     told[version] = said; goto done
  :: said = 0; goto lost
  fi;
lost:
  if
  :: !again -> again = true; goto send
  :: goto done                                                /* the client gives up and knows nothing */
  fi;
done:
  assert(told[version] == 0 || effects[version] == 1)
}

proctype person(byte number) {
  byte version;
  for (version : 0 .. NV - 1) {
    atomic { !head -> evidence[version * NA + number] = subject[version] + 1 }
  }
}
proctype change() { atomic { !head -> subject[0]++ } }

init {
  byte i;
  atomic {
    for (i : 0 .. NV - 1) { run request(i) }
    for (i : 0 .. NA - 1) { run person(i) }
    run change()
  }
}
