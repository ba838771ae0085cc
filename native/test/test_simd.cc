// Runs the checks of simd.h for every instruction set that this processor has. With OSSIA_BEST_ISA in the environment,
// that must be the one chosen, so that a run which is to test some set cannot pass without it.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "check.h"
#include "kernels.h"
#include "simd_checks.h"

int main() {
  const auto run = [](const char* isa, void (*check)()) {
    if (ossia::choose_kernels(isa) == nullptr) return std::printf("%s: not on this processor\n", isa);
    const int before = ossia::test::failures;
    check();
    return std::printf("%s: %d failures\n", isa, ossia::test::failures - before);
  };
  run("portable", ossia::portable::check_simd);
#if defined(OSSIA_X86)
  run("avx2", ossia::avx2::check_simd);
  run("avx512", ossia::avx512::check_simd);
  run("avx512bf16", ossia::avx512bf16::check_simd);
#endif
#if defined(OSSIA_ARM)
  run("neon", ossia::neon::check_simd);
  run("dotprod", ossia::dotprod::check_simd);
#endif
  const char* const best = std::getenv("OSSIA_BEST_ISA");
  const char* const chosen = ossia::choose_kernels(nullptr)->isa;
  CHECK_THAT(best == nullptr || std::strcmp(best, chosen) == 0, "%s for %s", chosen, best);
  return ossia::test::failures > 0;
}
