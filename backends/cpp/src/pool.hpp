// A small pool of threads that share the blocks of one job.
//
// A job is a function of a block's number. Whoever asks for it takes part in it: blocks are handed out one by one from a
// counter, to the caller at once and to each worker as soon as it is awake, so that a worker that the operating system
// keeps from running delays nothing but the block it holds. What the blocks are depends on the work alone and never on
// the number of threads: every thread count gives the same bits.
//
// The threads behave: a worker without work spins for some microseconds (the next kernel of a training step often comes
// that soon) and then sleeps; work of one block wakes nobody; a second Python thread that comes while the pool is busy
// does its blocks itself; after a fork the child starts a pool of its own.
//
// Source of the counter scheme: "guided" loops of OpenMP, and the job of C. Leiserson's work sharing in one word.
#pragma once

namespace tg {

using Index = long;  // counts elements, as NumPy does: 64 bits

// How many threads take part in a job, the caller among them: TINYGRAD_EDU_THREADS, else the processors we may use.
int threads();
void set_threads(int count);

namespace detail {
void run(Index blocks, void (*call)(const void*, Index), const void* body);
}

// Calls body(block) once for each block in [0, blocks), in any order, on any thread; returns when all are done. The body
// must not throw, and not call Python.
template <class Body>
void parallel(Index blocks, const Body& body) {
    if (blocks == 1) return body(Index(0));
    detail::run(blocks, [](const void* b, Index i) { (*static_cast<const Body*>(b))(i); }, &body);
}

// The same, and on this thread alone if it is not `worth` waking another.
template <class Body>
void parallel_if(bool worth, Index blocks, const Body& body) {
    if (worth) return parallel(blocks, body);
    for (Index i = 0; i < blocks; ++i) body(i);
}

// Calls body(begin, end) on ranges of at most `grain` that together cover [0, size).
template <class Body>
void parallel_ranges(Index size, Index grain, const Body& body) {
    parallel((size + grain - 1) / grain, [&](Index i) {
        const Index end = (i + 1) * grain;
        body(i * grain, end < size ? end : size);
    });
}

}  // namespace tg
