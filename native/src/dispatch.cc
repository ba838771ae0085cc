// Which instruction sets this processor has, best first.

#include <cstring>

#include "kernels.h"
#include "platform.h"
#if defined(OSSIA_X86)
#include "attend_pair_kernels.h"
#include "attend_tile_kernels.h"
#include "int8_group_kernels.h"
#include "int8_tile_kernels.h"
#include "tile_kernels.h"
#include "whole_kernels.h"
#endif

namespace ossia {

namespace portable {
extern const Kernels kTable;
}
#if defined(OSSIA_X86)
namespace avx2 {
extern const Kernels kTable;
}
namespace avx512 {
extern const Kernels kTable;
}
namespace avx512bf16 {
extern const Kernels kTable;
}
#endif
#if defined(OSSIA_ARM)
namespace neon {
extern const Kernels kTable;
}
namespace dotprod {
extern const Kernels kTable;
}
#endif

namespace {

struct Choice {
  const Kernels* kernels;
  bool (*present)();
};

#if defined(OSSIA_X86)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool has_avx512bf16() {
  return has_avx512() && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
}
bool has_zen4() { return has_avx512bf16() && multiplies_pairs(); }
bool has_amx() { return has_avx512bf16() && tiles_allowed(); }

// The kernels of avx512bf16, but products of MXFP4 and whole numbers where the processor looks up bytes, as all do that
// have products of bfloat16 but one family (Cooper Lake). They are faster than those of bfloat16 and round less.
Kernels by_lookup(Kernels kernels) {
  if (!__builtin_cpu_supports("avx512vbmi")) return kernels;
  kernels.int8_arrange = groups::int8_arrange;
  kernels.int8_group_products = groups::int8_products;
  kernels.whole_bytes = whole::bytes;
  kernels.whole_pack = whole::pack;
  kernels.whole_arrange = whole::arrange;
  kernels.whole_products = whole::products;
  return kernels;
}

// The same kernels, but attention over bfloat16 by products of pairs.
Kernels by_pairs(Kernels kernels) {
  kernels.isa = "zen4";
  kernels.attend_cut = pairs::attend_cut;
  return kernels;
}

// The same kernels, but products of bfloat16 and of 8 bits on tiles, and attention's.
Kernels on_tiles(Kernels kernels) {
  kernels.isa = "amx";
  kernels.interleave = tiles::interleave;
  kernels.group_products = tiles::products;
  kernels.int8_products = tiles::int8_products;
  kernels.int8_arrange = nullptr;
  kernels.int8_group_products = nullptr;
  kernels.attend_cut = tiles::attend_cut;
  return kernels;
}
#endif

}  // namespace

const Kernels* choose_kernels(const char* isa) {
#if defined(OSSIA_X86)
  __builtin_cpu_init();
  static const Kernels bf16 = by_lookup(avx512bf16::kTable);
  static const Kernels zen4 = by_pairs(bf16);
  static const Kernels amx = on_tiles(bf16);
#endif
  const Choice choices[] = {
#if defined(OSSIA_X86)
      {&zen4, has_zen4},
      {&amx, has_amx},
      {&bf16, has_avx512bf16},
      {&avx512::kTable, has_avx512},
      {&avx2::kTable, has_avx2},
#endif
#if defined(OSSIA_ARM)
      {&dotprod::kTable, has_byte_products},
      {&neon::kTable, [] { return true; }},
#endif
      {&portable::kTable, [] { return true; }},
  };
  for (const Choice& choice : choices) {
    const bool wanted = isa == nullptr || std::strcmp(isa, choice.kernels->isa) == 0;
    if (wanted && choice.present()) return choice.kernels;
  }
  return nullptr;
}

}  // namespace ossia
