#include "pool.h"

#include <chrono>

#include "platform.h"

namespace ossia {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::milliseconds(1);
// Looks at the word between two looks at the clock.
constexpr int kLooks = 64;

bool is_open(uint32_t epoch) { return epoch % 2 == 1; }

}  // namespace

Pool::Pool(int threads) : threads_(threads), process_(process_id()) {
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { worker(thread); });
  } catch (...) {
    // No destructor follows, and a thread that nobody joins ends the program.
    end_workers();
    throw;
  }
}

Pool::~Pool() {
  if (process_id() != process_) {
    // The workers stayed in the parent; waiting for them would be for ever.
    for (std::thread& worker : workers_) worker.detach();
    return;
  }
  end_workers();
}

void Pool::end_workers() {
  stopping_.store(true);
  epoch_.fetch_add(2);
  wake_all(epoch_);
  for (std::thread& worker : workers_) worker.join();
}

void Pool::run_erased(int64_t chunks, Call call, const void* body) {
  if (chunks <= 1 || threads_ == 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) call(body, chunk, 0);
    return;
  }
  call_ = call;
  body_ = body;
  chunks_ = chunks;
  next_.store(0, std::memory_order_relaxed);
  epoch_.fetch_add(1);
  if (sleeping_.load() > 0) wake_all(epoch_);
  work(0);
  // Closing comes before looking at `active_`, and a worker becomes active before looking whether the run is open, all
  // sequentially consistent: so a worker that this loop misses finds the run closed and touches nothing.
  epoch_.fetch_add(1);
  const Clock::time_point end = Clock::now() + kSpin;
  while (active_.load() > 0) {
    if (Clock::now() < end) {
      pause();
    } else {
      yield();
    }
  }
}

void Pool::work(int thread) {
  for (int64_t chunk; (chunk = next_.fetch_add(1, std::memory_order_relaxed)) < chunks_;) call_(body_, chunk, thread);
}

void Pool::worker(int thread) {
  const FloatMode mode;
  uint32_t seen = 0;
  while (true) {
    seen = await_change(seen);
    if (stopping_.load()) return;
    if (!is_open(seen)) continue;
    active_.fetch_add(1);
    if (epoch_.load() == seen) work(thread);
    active_.fetch_sub(1);
  }
}

// The epoch as soon as it is another than `seen`.
uint32_t Pool::await_change(uint32_t seen) {
  const Clock::time_point end = Clock::now() + kSpin;
  do {
    for (int look = 0; look < kLooks; ++look) {
      const uint32_t now = epoch_.load();
      if (now != seen) return now;
      pause();
    }
  } while (Clock::now() < end);
  // Counted as sleeping before the last look, so that a run opened in between either is seen here or sees the sleeper.
  sleeping_.fetch_add(1);
  while (epoch_.load() == seen) wait_while_equal(epoch_, seen);
  sleeping_.fetch_sub(1);
  return epoch_.load();
}

}  // namespace ossia
