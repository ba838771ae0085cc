#include "platform.h"

#include <cstdlib>
#include <new>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <condition_variable>
#include <mutex>
#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

namespace ossia {

#if defined(__linux__)

int processor_count() {
  // A fixed cpu_set_t holds 1024 processors; on a larger machine the call fails and the library's own count serves.
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    const int count = CPU_COUNT(&set);
    if (count > 0) return count;
  }
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? static_cast<int>(count) : 1;
}

void wait_while_equal(std::atomic<uint32_t>& word, uint32_t seen) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

void wake_all(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

bool tiles_allowed() {
#if defined(__x86_64__)
  // Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID leaf 7; Linux,
  // Documentation/arch/x86/xstate.rst, for the request. It holds for threads that are there already, too.
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24, kInt8 = 1u << 25;
  constexpr long kRequest = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  constexpr unsigned kAll = kBf16 | kTiles | kInt8;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAll) != kAll) return false;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

void yield() { sched_yield(); }

namespace {
// Not in the headers of older systems. Source: Linux, include/uapi/asm-generic/mman-common.h.
constexpr int kPopulateRead = 22;

// Asked for at once: the address space is locked for as long, apart from waiting for the disk.
constexpr size_t kPopulated = size_t{16} << 20;

// One call reads no more than the device's read-ahead, whatever it is asked for: 128 KiB where nobody has changed it.
constexpr size_t kAdvised = size_t{128} << 10;

// The whole pages that some bytes lie in.
struct Pages {
  char *begin, *end;

  Pages(const void* memory, size_t bytes) {
    const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), address = reinterpret_cast<uintptr_t>(memory);
    begin = reinterpret_cast<char*>(address & ~(page - 1));
    end = reinterpret_cast<char*>((address + bytes + page - 1) & ~(page - 1));
  }
};

// madvise for [at, end) piece by piece; false at the first that is refused.
bool advise(char* at, char* end, size_t piece, int advice) {
  for (; at < end; at += piece) {
    const size_t left = static_cast<size_t>(end - at);
    if (madvise(at, left < piece ? left : piece, advice) != 0) return false;
  }
  return true;
}
}  // namespace

void ask_for(const void* memory, size_t bytes) {
  const Pages pages(memory, bytes);
  advise(pages.begin, pages.end, kAdvised, MADV_WILLNEED);
}

void prefer_huge_pages(const void* memory, size_t bytes) {
  // Pages of a file that are read for such a range come in pieces of 2 MiB where the file system can. Where it cannot,
  // or the pages are there already, nothing changes.
  const Pages pages(memory, bytes);
  madvise(pages.begin, static_cast<size_t>(pages.end - pages.begin), MADV_HUGEPAGE);
}

void populate(const void* memory, size_t bytes) {
  const Pages pages(memory, bytes);
  if (!advise(pages.begin, pages.end, kPopulated, kPopulateRead)) ask_for(memory, bytes);
}

#else

namespace {
// One pair for all words: they are woken rarely, and a thread that wakes for another word looks again.
std::mutex sleepers_mutex;
std::condition_variable sleepers;
}  // namespace

int processor_count() {
  const unsigned count = std::thread::hardware_concurrency();
  return count > 0 ? static_cast<int>(count) : 1;
}

void wait_while_equal(std::atomic<uint32_t>& word, uint32_t seen) {
  std::unique_lock<std::mutex> lock(sleepers_mutex);
  sleepers.wait(lock, [&] { return word.load() != seen; });
}

void wake_all(std::atomic<uint32_t>&) {
  {
    std::lock_guard<std::mutex> lock(sleepers_mutex);
  }
  sleepers.notify_all();
}

bool tiles_allowed() { return false; }

void yield() { std::this_thread::yield(); }

void ask_for(const void*, size_t) {}

void prefer_huge_pages(const void*, size_t) {}

void populate(const void*, size_t) {}

#endif

namespace {
bool is_like_amd() {
#if defined(__x86_64__)
  static const char* const said = std::getenv("OSSIA_LIKE_AMD");
  return said == nullptr ? __builtin_cpu_is("amd") != 0 : said[0] == '1';
#else
  return false;
#endif
}
}  // namespace

bool adds_apart() { return is_like_amd(); }

bool multiplies_pairs() { return is_like_amd(); }

bool has_byte_products() {
#if defined(__linux__) && defined(__aarch64__)
  // Source: Linux, Documentation/arch/arm64/elf_hwcaps.rst.
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__) && defined(__aarch64__)
  // Source: Apple, "Determining instruction set characteristics". What the system has not heard of is not there.
  int32_t present = 0;
  size_t bytes = sizeof(present);
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &present, &bytes, nullptr, 0) == 0 && present != 0;
#else
  return false;
#endif
}

int64_t process_id() {
#if defined(_WIN32)
  return _getpid();
#else
  return getpid();
#endif
}

namespace {
constexpr size_t kHugePage = size_t{2} << 20;
// Cache lines, and the widest vector.
constexpr size_t kAlignment = 64;

size_t alignment_of(size_t bytes) { return bytes >= kHugePage ? kHugePage : kAlignment; }
}  // namespace

void* allocate(size_t bytes) {
  void* memory = ::operator new(bytes, std::align_val_t(alignment_of(bytes)), std::nothrow);
#if defined(__linux__)
  if (memory != nullptr && bytes >= kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return memory;
}

void release(void* memory, size_t bytes) { ::operator delete(memory, std::align_val_t(alignment_of(bytes))); }

#if defined(__x86_64__) || defined(_M_X64)

// Round to nearest, keep subnormal numbers, all exceptions masked: the processor's state at start.
constexpr uint32_t kDefaultMxcsr = 0x1F80;

FloatMode::FloatMode() : saved_(__builtin_ia32_stmxcsr()) { __builtin_ia32_ldmxcsr(kDefaultMxcsr); }
FloatMode::~FloatMode() { __builtin_ia32_ldmxcsr(static_cast<uint32_t>(saved_)); }

#elif defined(__aarch64__)

FloatMode::FloatMode() {
  const uint64_t plain = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
  __asm__ volatile("msr fpcr, %0" : : "r"(plain));
}
FloatMode::~FloatMode() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

#else

FloatMode::FloatMode() : saved_(0) {}
FloatMode::~FloatMode() = default;

#endif

}  // namespace ossia
