// Everything that differs between operating systems and processors, apart from the vector types of simd.h.
//
// Linux is tested. macOS and Windows take the fallbacks, which wait through a condition variable: for macOS on arm64
// they have been compiled, for Windows they have not.

#ifndef OSSIA_PLATFORM_H_
#define OSSIA_PLATFORM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ossia {

// Processors that this process may use: its affinity, not the machine's size. At least 1.
int processor_count();

// This process's number: another one after a fork.
int64_t process_id();

// Sleeps until `word` no longer holds `seen`; may also return early, so the caller looks again.
void wait_while_equal(std::atomic<uint32_t>& word, uint32_t seen);

// Wakes every thread that sleeps on `word`.
void wake_all(std::atomic<uint32_t>& word);

// Tells the processor that this is a spinning loop.
inline void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Whether the processor has matrix tiles of bfloat16 and of 8 bits (Intel AMX) and the system lets this process use
// them, which it has to be asked for: their state is 8 KiB a thread.
bool tiles_allowed();

// What is so of AMD's processors, as far as they have the instructions that are asked about (measured: a Zen 4):
// float32 is added in other units than it is multiplied in, so that additions beside products cost nothing; and
// products of bfloat16 pairs begin as often as multiply-adds. With OSSIA_LIKE_AMD in the environment, 0 or 1, tests say
// what the processor is taken for.
bool adds_apart();
bool multiplies_pairs();

// Whether the processor has dot products of four bytes (Arm's FEAT_DotProd).
bool has_byte_products();

// Gives the rest of this thread's time to others.
void yield();

// `bytes` of memory at a multiple of 64 bytes, in huge pages where that pays; nullptr when there is none.
void* allocate(size_t bytes);
void release(void* memory, size_t bytes);

// Hints about a mapping, which do not report what fails: the disk is asked for it; or it is to come in huge pages where
// that can be, whoever touches it first; or it is read into memory and into this process's page tables.
void ask_for(const void* memory, size_t bytes);
void prefer_huge_pages(const void* memory, size_t bytes);
void populate(const void* memory, size_t bytes);

// While it lives, this thread rounds to nearest and keeps subnormal numbers, whatever its caller had set (a library
// built with -ffast-math may have turned them to zero); then the caller's setting returns. Without it the same product
// would have other bits in another thread.
class FloatMode {
 public:
  FloatMode();
  ~FloatMode();
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace ossia

#endif  // OSSIA_PLATFORM_H_
