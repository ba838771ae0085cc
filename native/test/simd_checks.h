// The checks of simd.h compiled for each instruction set, as `ossia::ISA::check_simd`.

#ifndef OSSIA_TEST_SIMD_CHECKS_H_
#define OSSIA_TEST_SIMD_CHECKS_H_

namespace ossia {
namespace portable {
void check_simd();
}
namespace avx2 {
void check_simd();
}
namespace avx512 {
void check_simd();
}
namespace avx512bf16 {
void check_simd();
}
namespace neon {
void check_simd();
}
namespace dotprod {
void check_simd();
}
}  // namespace ossia

#endif  // OSSIA_TEST_SIMD_CHECKS_H_
