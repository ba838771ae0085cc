// The table through which the rest of the library calls the code compiled for one instruction set.

#ifndef OSSIA_KERNELS_H_
#define OSSIA_KERNELS_H_

#include <stdint.h>

#include "attend.h"
#include "int4.h"
#include "int8_group_kernels.h"
#include "matrix.h"
#include "ossia.h"
#include "sample.h"
#include "whole_kernels.h"

namespace ossia {

// Kernels are plain functions over a range of the work: they know neither threads nor the C ABI, allocate nothing and
// cannot fail. Their shapes and order of additions stand in the headers named.
struct Kernels {
  const char* isa;

  // Weights and products: bandwidth_kernels.h, product_kernels.h, expert_kernels.h.
  uint64_t (*sum_bytes)(const void* data, int64_t bytes);
  int64_t (*packed_bytes)(int64_t columns, bool fast);
  void (*pack)(const float* x, int64_t columns, bool fast, void* packed);
  void (*products)(const Matrix& matrix, int64_t first, int64_t rows, bool fast, const void* const* x, int64_t tokens,
                   float* y, int64_t stride);
  // tile_kernels.h; nullptr where the processor has no tiles. Then `products` takes packed rows only; otherwise
  // `group_products` takes groups of them, for what `takes_groups` says.
  void (*interleave)(const void* const* rows, int64_t tokens, int64_t columns, bool scattered, void* group);
  void (*group_products)(const Matrix& matrix, int64_t first, int64_t rows, const void* const* x, int64_t tokens,
                         float* y, int64_t stride);
  void (*add_scaled)(float* y, const float* x, float factor, int64_t count);
  void (*widen_row)(const uint16_t* x, int64_t count, float* y);
  // Weights in 8 bits: int8_kernels.h, int8_tile_kernels.h.
  void (*int8_round)(const Matrix& matrix, int64_t first, int64_t rows, char* panel);
  void (*int8_pack)(const float* x, int64_t columns, char* integers, int32_t* offsets, float* scale);
  void (*int8_products)(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, float* y,
                        int64_t stride);
  // The same in 4: int4_kernels.h.
  void (*int4_products)(const Int8Panels& panels, int64_t columns, int64_t rows, const Int4Tokens& tokens,
                        const Int4Results& to);
  // int8_group_kernels.h; nullptr where many tokens are better done by int8_products.
  void (*int8_arrange)(const Int8Tokens& tokens, const Int8Shape& shape, int64_t group, bool coarse, char* to);
  void (*int8_group_products)(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens,
                              const char* from, bool coarse, float* y, int64_t stride);
  // MXFP4 and whole numbers: whole_kernels.h; nullptr where there are none.
  int64_t (*whole_bytes)(int64_t columns, Grain grain);
  void (*whole_pack)(const float* x, int64_t columns, Grain grain, void* row);
  void (*whole_arrange)(const void* const* rows, int64_t tokens, int64_t columns, Grain grain, void* run);
  void (*whole_products)(const Matrix& matrix, int64_t first, int64_t rows, const void* run, int64_t tokens,
                         Grain grain, float* y, int64_t stride);
  void (*swiglu)(const float* h, int64_t count, float limit, float* a);

  // Attention: attend.h.
  void (*attend_write)(const KeyValues& cache, const float* k, const float* v, const int32_t* slots, int64_t first,
                       int64_t end);
  void (*attend_cut)(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                     State* state);
  void (*attend_ask)(const KeyValues& cache, int head, const int32_t* table, int32_t first, int32_t end);
  void (*attend_fold)(State* state, State* part, int rows, int padded);
  void (*attend_finish)(State* state, int row, int width, int padded, float* y);

  // Rows: rowwise.h.
  void (*rms_norm)(const float* x, const float* scale, float eps, int64_t rows, int64_t width, float* y);
  void (*rope)(const float* x, const float* cos, const float* sin, int64_t heads, int64_t half, float* y);
  void (*choose_experts)(const float* scores, int64_t experts, int64_t active, int32_t* chosen, float* shares);

  // Draws: sample.h.
  void (*sample_best)(const Row& row, int64_t first, int64_t end, Candidate* best);
  void (*sample_reaching)(const Row& row, int64_t first, int64_t end, float least, uint32_t* reaching);
  float (*sample_largest)(const Row& row, int64_t first, int64_t end);
  void (*sample_classes)(const Row& row, int64_t first, int64_t end, Class* classes);
  int64_t (*sample_members)(const Row& row, int64_t first, int64_t end, int number, Candidate* members);
  void (*sample_log_sum)(const float* logits, int64_t first, int64_t end, float* largest, float* sum);
  float (*sample_weight)(float difference);
};

// Whether products with a weight of this dtype are made by groups of tokens.
inline bool takes_groups(const Kernels& kernels, int32_t dtype, bool fast) {
  return kernels.group_products != nullptr && fast && dtype != OSSIA_F32;
}

// How the inputs of MXFP4 experts are rounded: of those that at most `whole_tokens` chose to whole numbers of 15 bits,
// and of the rest as the dtype says: by the size of what float32 sums lose, to bfloat16, or to whole numbers of 8 bits.
struct ExpertRounding {
  int64_t whole_tokens;
  int32_t rest;
};

inline ExpertRounding expert_rounding(const Kernels& kernels, int32_t precision) {
  if (precision == OSSIA_EXACT) return {0, OSSIA_F32};
  if (kernels.whole_products == nullptr) return {0, OSSIA_BF16};
  // Tiles of bfloat16 are faster for many tokens than whole numbers without tiles.
  const bool tiles = kernels.group_products != nullptr;
  if (precision == OSSIA_TURBO) return {kFewTokens, tiles ? OSSIA_BF16 : OSSIA_INT8};
  return {tiles ? 0 : INT64_MAX, OSSIA_BF16};
}

// Whether `exact` gives an expert's inputs whole numbers of 23 bits.
inline bool has_fine_products(const Kernels& kernels, int64_t columns) {
  return kernels.whole_products != nullptr && columns <= kMostFineColumns;
}

// Up to how many tokens of a call are rounded to 15 bits beside weights in 8; more, which go by groups, are to 8.
inline int64_t most_whole_tokens(const Kernels& kernels, int32_t precision) {
  return precision == OSSIA_TURBO && kernels.int8_arrange != nullptr ? kFewestGrouped - 1 : INT64_MAX;
}

#if defined(OSSIA_ISA)
namespace OSSIA_ISA {
extern const Kernels kTable;
}
#endif

// The best set that this processor has, or the named one. nullptr if it has not, or there is none of that name.
const Kernels* choose_kernels(const char* isa);

}  // namespace ossia

#endif  // OSSIA_KERNELS_H_
