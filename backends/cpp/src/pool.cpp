// The pool of threads: see pool.hpp for what it promises.
//
// One job at a time is open. A worker that wants to take part counts itself in (`inside`) and then looks whether the job
// is still open; the caller closes the job and then waits until nobody is inside. With both in sequentially consistent
// order, either the worker sees the job closed or the caller sees the worker inside: a job's data is never touched after
// `run` has returned.

#include "pool.hpp"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace tg {
namespace {

constexpr int kSpins = 2000;  // pauses before a thread goes to sleep: some 20 to 50 microseconds

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

int processors() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    const int count = static_cast<int>(std::thread::hardware_concurrency());
    return count > 0 ? count : 1;
}

int from_environment() {
    const char* text = std::getenv("TINYGRAD_EDU_THREADS");  // a positive integer: backends/cpp/__init__.py checks it
    const int count = text ? std::atoi(text) : 0;
    return count > 0 ? count : processors();
}

class Pool {
public:
    explicit Pool(int count) : threads(count) {}

    void run(Index blocks, void (*call)(const void*, Index), const void* body) {
        if (threads == 1 || taken_.exchange(true))  // taken by another thread, or by this one: a body that asks for more
            return parallel_if(false, blocks, [=](Index i) { call(body, i); });
        const Turn turn{taken_};
        for (; started_ < threads - 1; ++started_) std::thread([this] { work(); }).detach();
        call_ = call, body_ = body, blocks_ = blocks;
        next_.store(0, std::memory_order_relaxed);
        open_.store(true);
        job_.fetch_add(1);
        wake();
        take_blocks();
        open_.store(false);
        wait_until_nobody_is_inside();
    }

    // The workers end. A thread that is in `run` just now does what is left of its job.
    void retire() {
        retired_.store(true);
        job_.fetch_add(1);
        wake();
    }

    const int threads;

private:
    struct Turn {  // given back even if no thread can be started
        std::atomic<bool>& taken;
        ~Turn() { taken.store(false); }
    };

    void wake() {
        if (asleep_.load() == 0) return;
        { const std::lock_guard<std::mutex> lock(mutex_); }  // whoever has counted itself asleep is waiting by now
        wake_.notify_all();
    }

    void take_blocks() {
        for (Index i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < blocks_;) call_(body_, i);
    }

    void wait_until_nobody_is_inside() {
        for (int i = 0; i < kSpins; ++i) {
            if (inside_.load() == 0) return;
            pause();
        }
        std::unique_lock<std::mutex> lock(mutex_);
        waiting_.store(true);
        done_.wait(lock, [this] { return inside_.load() == 0; });
        waiting_.store(false);
    }

    void work() {
        long seen = 0;
        while (!retired_.load()) {
            for (int i = 0; i < kSpins && job_.load() == seen; ++i) pause();
            if (job_.load() == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                asleep_.fetch_add(1);
                wake_.wait(lock, [&] { return job_.load() != seen; });
                asleep_.fetch_sub(1);
            }
            seen = job_.load();
            inside_.fetch_add(1);
            if (open_.load()) take_blocks();
            if (inside_.fetch_sub(1) == 1 && waiting_.load()) {
                const std::lock_guard<std::mutex> lock(mutex_);
                done_.notify_one();
            }
        }
    }

    std::mutex mutex_;  // guards sleeping
    std::condition_variable wake_, done_;
    int started_ = 0;
    std::atomic<long> job_{0};  // counts jobs, so that a worker knows a new one
    std::atomic<bool> taken_{false}, open_{false}, waiting_{false}, retired_{false};
    std::atomic<int> inside_{0}, asleep_{0};
    std::atomic<Index> next_{0};
    void (*call_)(const void*, Index) = nullptr;
    const void* body_ = nullptr;
    Index blocks_ = 0;
};

// Pools are never destroyed: their threads may outlive everything else. A fork leaves the child none of them, and
// whatever the parent's mutexes were in: the child gets a new pool.
std::atomic<Pool*> pool{nullptr};

Pool& the_pool() {
    static const bool ready = [] {
        pool.store(new Pool(from_environment()));
        pthread_atfork(nullptr, nullptr, [] { pool.store(new Pool(pool.load()->threads)); });
        return true;
    }();
    (void)ready;
    return *pool.load();
}

}  // namespace

int threads() { return the_pool().threads; }

void set_threads(int count) {
    if (count != threads()) pool.exchange(new Pool(count))->retire();
}

namespace detail {
void run(Index blocks, void (*call)(const void*, Index), const void* body) { the_pool().run(blocks, call, body); }
}  // namespace detail

}  // namespace tg
