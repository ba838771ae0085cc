// The pool: every chunk once, whatever the timing, and nothing lost when threads sleep in between.

#include <atomic>
#include <chrono>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"
#include "platform.h"
#include "pool.h"

using ossia::Pool;

static void every_chunk_once() {
  for (int threads : {1, 2, 3, 8}) {
    Pool pool(threads);
    for (int64_t chunks : {0, 1, 2, 7, 1000}) {
      std::vector<int> done(static_cast<size_t>(chunks), 0);
      pool.run(chunks, [&](int64_t chunk, int) { ++done[static_cast<size_t>(chunk)]; });
      for (int count : done) CHECK(count == 1);
    }
  }
}

static void thread_numbers_are_exclusive() {
  Pool pool(4);
  std::vector<std::atomic<int>> inside(4);
  pool.run(2000, [&](int64_t, int thread) {
    CHECK(thread >= 0 && thread < 4);
    CHECK(inside[static_cast<size_t>(thread)].fetch_add(1) == 0);
    inside[static_cast<size_t>(thread)].fetch_sub(1);
  });
}

// Plain memory written in one run is read in the next by whichever thread gets the chunk.
static void runs_follow_each_other() {
  Pool pool(3);
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 5000; ++round) {
    pool.run(64, [&](int64_t chunk, int) { values[static_cast<size_t>(63 - chunk)] += 1; });
  }
  for (int64_t value : values) CHECK(value == 5000);
}

static void sleeping_workers_wake() {
  Pool pool(4);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> done{0};
    pool.run(100, [&](int64_t, int) { ++done; });
    CHECK(done == 100);
  }
}

// A worker that flushed subnormal numbers to zero would change bits with the thread that got the chunk.
static void subnormal_numbers_are_kept() {
  const ossia::FloatMode mode;
  Pool pool(4);
  volatile float smallest_normal = 1.17549435e-38f;
  std::atomic<int> flushed{0};
  pool.run(1000, [&](int64_t, int) {
    volatile float half = smallest_normal * 0.5f;
    if (half == 0.f) ++flushed;
  });
  CHECK(flushed == 0);
}

static void comes_and_goes() {
  for (int round = 0; round < 50; ++round) {
    Pool pool(3);
    if (round % 2 == 0) pool.run(3, [](int64_t, int) {});
  }
}

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// What the system refuses after some threads are there is an exception, and those end. In a child, because of the limit
// on memory, of which each thread's stack takes its part; sanitizers need more of it than there would be, and an
// emulator does not hand it on.
static void refused_threads_are_an_exception() {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit{rlim_t{1} << 30, rlim_t{1} << 30};
    rlimit held;
    if (setrlimit(RLIMIT_AS, &limit) != 0 || getrlimit(RLIMIT_AS, &held) != 0 || held.rlim_cur != limit.rlim_cur) {
      _exit(0);
    }
    int status = 1;
    try {
      Pool pool(4000);
    } catch (const std::system_error&) {
      status = 0;
    } catch (const std::bad_alloc&) {
      status = 0;
    }
    _exit(status);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
}
#else
static void refused_threads_are_an_exception() {}
#endif

#if defined(__linux__)
// The child of a fork has none of the parent's threads, and must neither wait for them nor crash.
static void works_after_a_fork() {
  auto* pool = new Pool(3);
  pool->run(10, [](int64_t, int) {});
  const pid_t child = fork();
  if (child == 0) {
    std::atomic<int> done{0};
    pool->run(10, [&](int64_t, int) { ++done; });
    delete pool;
    _exit(done == 10 ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  delete pool;
}
#endif

int main() {
  CHECK(ossia::processor_count() >= 1);
  refused_threads_are_an_exception();
  every_chunk_once();
  thread_numbers_are_exclusive();
  runs_follow_each_other();
  sleeping_workers_wake();
  subnormal_numbers_are_kept();
  comes_and_goes();
#if defined(__linux__)
  works_after_a_fork();
#endif
  return ossia::test::failures > 0;
}
