// Threads that share the chunks of one piece of work at a time.

#ifndef OSSIA_POOL_H_
#define OSSIA_POOL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace ossia {

// A fixed number of threads, the calling one among them.
//
// Chunks are handed out by a counter, not in fixed halves: on a busy machine one thread may be held up for
// milliseconds, and then the others take its share. For the same reason nobody waits for a worker that has not started:
// a run ends when its chunks are done. Workers spin for about a millisecond after a run, because waking a sleeping
// thread costs 50 microseconds and a decoded token has about 200 runs; then they sleep.
//
// After a fork the child has no workers: there the calling thread does all chunks.
//
// Which thread does which chunk is left to chance, so a chunk's result must not depend on it.
class Pool {
 public:
  // `threads` of at least 1. Raises std::system_error when the system gives none.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }

  // Calls body(chunk, thread) once for every chunk from 0 to `chunks` - 1, `thread` being 0 to threads() - 1 and used
  // by one call at a time, and returns when all are done. One run at a time; a body must not call run, nor throw.
  template <class F>
  void run(int64_t chunks, F&& body) {
    using Body = std::remove_reference_t<F>;
    run_erased(
        chunks,
        [](const void* context, int64_t chunk, int thread) {
          (*static_cast<Body*>(const_cast<void*>(context)))(chunk, thread);
        },
        &body);
  }

 private:
  using Call = void (*)(const void* body, int64_t chunk, int thread);

  void end_workers();
  void run_erased(int64_t chunks, Call call, const void* body);
  void work(int thread);
  void worker(int thread);
  uint32_t await_change(uint32_t seen);

  const int threads_;
  const int64_t process_;
  std::vector<std::thread> workers_;

  // Written between runs only, while no worker is active.
  Call call_ = nullptr;
  const void* body_ = nullptr;
  int64_t chunks_ = 0;

  // Each on a cache line of its own: `next_` is hammered by all during a run, `epoch_` watched by all between runs.
  // Odd while a run is open.
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> active_{0};
  alignas(64) std::atomic<int> sleeping_{0};
  std::atomic<bool> stopping_{false};
};

// Chunks of a run as streams: threads take chunks in turns, and what each comes to lies in memory behind what it had,
// as long as the turns hold. One thread alone reads its pieces 8 % faster so. Of a token's experts, by two threads on a
// busy machine, the fastest fiftieth of all calls gained 3 to 6 %, the median call nothing.
struct Streams {
  int64_t chunks, threads;

  // Where the chunk that is handed out as number `chunk` lies.
  int64_t at(int64_t chunk) const {
    const int64_t stream = chunk % threads, longer = chunks % threads;
    return stream * (chunks / threads) + (stream < longer ? stream : longer) + chunk / threads;
  }
};

}  // namespace ossia

#endif  // OSSIA_POOL_H_
