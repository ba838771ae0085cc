// One cut over keys and values in 8 bits, whoever makes the products of whole numbers.
//
// They are given kValueBlock positions at a time, as four groups of 16. With `Products` come
//
//     Products(int rows)      for so many query rows
//     score(query, keys, lines, to)    of each row the sums with each key, still without scales, to `to[row]`
//     mix(weights, values, blocks, state, padded)    adds each row's weighted values, 16 e for each of `blocks`
//
// and both take their groups as Quartets.

#ifndef OSSIA_ATTEND_INT8_H_
#define OSSIA_ATTEND_INT8_H_

#include "attend_pages.h"
#include "int8_kernels.h"
#include "int8_sums.h"

namespace ossia::OSSIA_ISA {
namespace {  // of each source, since two of one instruction set have different flags

// Rows of whole numbers with what int8_pack says of them, all of a row's offsets as one; the bytes of one stand in
// `shape`.
struct Int8Operand {
  Int8Shape shape;
  int count;
  int32_t offsets[kRows];
  float scales[kRows];
  alignas(64) char integers[kRows * 2 * (kWidestInt8 + kInt8Chunk)];

  Int8Operand(int64_t columns, int rows) : shape{columns}, count(rows) {}
  OSSIA_INLINE const char* row(int i) const { return integers + i * shape.token_bytes(); }
  OSSIA_INLINE void set(int i, const float* x) {
    int32_t parts[kWidestInt8 / kInt8Chunk];
    int8_pack(x, shape.columns, integers + i * shape.token_bytes(), parts, scales + i);
    offsets[i] = 0;
    for (int64_t c = 0; c < shape.chunks(); ++c) offsets[i] += parts[c];
  }
};

// The rows' scores: whole numbers first, and then their scales.
template <class Products>
OSSIA_INLINE void int8_scores(const KeyValues& cache, Products& products, const QueryRows& rows,
                              CutPages<uint8_t>& pages, Scores& scores) {
  Int8Operand query(cache.width, rows.count);
  const float factor = 1.f / __builtin_sqrtf(static_cast<float>(cache.width));
  for (int row = 0; row < rows.count; ++row) query.set(row, rows.q[row]);
  for (int block = pages.first_block(); block < pages.end_block(); ++block) {
    const Quartet<uint8_t> keys = pages.keys(block);
    float* to[kRows];
    for (int row = 0; row < rows.count; ++row) to[row] = scores.at(row, block * kValueBlock);
    products.score(query, keys, static_cast<int>(key_lines<uint8_t>(cache)), to);
    for (int i = keys.first; i < keys.end; ++i) {
      const F32 scales = pages.key_scales(block * kQuartet + i);
      for (int row = 0; row < rows.count; ++row) {
        float* at = to[row] + i * kLanes;
        store(at, mul(mul(load(at), scales), broadcast(query.scales[row] * factor)));
      }
    }
  }
}

// The rows' weighted values. A weight of 0 makes 0 of a value that is not finite.
template <class Products>
OSSIA_INLINE void int8_values(const KeyValues& cache, Products& products, int rows, CutPages<uint8_t>& pages,
                              Scores& scores, State* state) {
  Int8Operand weights(kValueBlock, rows);
  for (int block = pages.first_block(); block < pages.end_block(); ++block) {
    const Quartet<uint8_t> values = pages.values(block, false);
    alignas(64) float weighted[kRows][kValueBlock];
    if (values.first > 0 || values.end < kQuartet) memset(weighted, 0, sizeof(weighted));
    for (int i = values.first; i < values.end; ++i) {
      const F32 scales = pages.value_scales(block * kQuartet + i);
      for (int row = 0; row < rows; ++row) {
        const F32 weight = load(scores.at(row, block * kValueBlock + i * kLanes));
        store(weighted[row] + i * kLanes, select_less(zero(), weight, mul(weight, scales), zero()));
      }
    }
    for (int row = 0; row < rows; ++row) weights.set(row, weighted[row]);
    products.mix(weights, values, cache.padded / kLanes, state, cache.padded);
  }
}

template <class Products>
OSSIA_INLINE void int8_cut(const KeyValues& cache, int head, const int32_t* table, int32_t cut, const QueryRows& rows,
                           State* state) {
  const int32_t origin = cut * kCut;
  const Span span = seen_of(rows, origin);
  Scores scores;
  CutPages<uint8_t> pages(cache, head, table, origin, span);
  Products products(rows.count);
  int8_scores(cache, products, rows, pages, scores);
  weigh_rows(rows, origin, span, scores, state);
  clear_mixed(state, rows.count, cache.padded);
  int8_values(cache, products, rows.count, pages, scores, state);
}

}  // namespace
}  // namespace ossia::OSSIA_ISA

#endif  // OSSIA_ATTEND_INT8_H_
