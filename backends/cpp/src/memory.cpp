// The store of memory blocks: see memory.hpp.

#include "memory.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

namespace tg {
namespace {

constexpr std::size_t kHugePage = std::size_t(1) << 21;
constexpr std::size_t kKept = std::size_t(512) << 20;  // at most so many bytes wait for being asked for again

// Sizes are rounded up to four steps a power of two, so that nearly equal ones share their blocks.
std::size_t rounded(std::size_t bytes) {
    std::size_t step = kAlignment;
    while (step * 8 < bytes) step *= 2;
    return (bytes + step - 1) / step * step + (bytes == 0 ? kAlignment : 0);
}

void* fresh(std::size_t bytes) {
    void* block = nullptr;
    const bool huge = bytes >= kHugePage;
    if (posix_memalign(&block, huge ? kHugePage : kAlignment, bytes) != 0) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (huge) madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // advice: whether it is taken is no matter
#endif
    return block;
}

struct Store {
    std::mutex mutex;
    std::map<std::size_t, std::vector<void*>> blocks;
    std::size_t kept = 0;
};

// Never destroyed: arrays may be given back after the end of main. Held during a fork, as the child would wait for ever
// for what another thread of the parent holds.
Store& store() {
    static Store* const only = [] {
        pthread_atfork([] { store().mutex.lock(); }, [] { store().mutex.unlock(); }, [] { store().mutex.unlock(); });
        return new Store;
    }();
    return *only;
}

struct Scratch {
    void* block = nullptr;
    std::size_t size = 0;
    ~Scratch() { std::free(block); }
};

}  // namespace

void* acquire(std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    Store& s = store();
    std::unique_lock<std::mutex> lock(s.mutex);
    std::vector<void*>& blocks = s.blocks[size];
    if (blocks.empty()) {
        lock.unlock();
        return fresh(size);
    }
    void* block = blocks.back();
    blocks.pop_back();
    s.kept -= size;
    return block;
}

void release(void* block, std::size_t bytes) {
    const std::size_t size = rounded(bytes);
    Store& s = store();
    std::lock_guard<std::mutex> lock(s.mutex);
    if (s.kept + size > kKept) return std::free(block);
    s.blocks[size].push_back(block);
    s.kept += size;
}

void* scratch_bytes(Slot slot, std::size_t bytes) {
    static thread_local Scratch all[static_cast<int>(Slot::count)];
    Scratch& mine = all[static_cast<int>(slot)];
    if (mine.size < bytes) {
        std::free(mine.block);
        mine.block = nullptr, mine.size = 0;
        mine.block = fresh(rounded(bytes));
        mine.size = rounded(bytes);
    }
    return mine.block;
}

}  // namespace tg
