#include "int8_kernels.h"

#include "count.h"
#include "int8_rounding.h"
#include "int8_sums.h"

namespace ossia::OSSIA_ISA {
namespace {

// Columns `column` up to `column` + `count` of a row.
void read_row(const Matrix& matrix, int64_t row, int64_t column, int64_t count, float* values) {
  const int64_t at = row * matrix.columns + column;
  if (matrix.dtype == OSSIA_F32) {
    memcpy(values, static_cast<const float*>(matrix.values) + at, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  const uint16_t* words = static_cast<const uint16_t*>(matrix.values) + at;
  for (int64_t i = 0; i < count; ++i) values[i] = float_of_bf16(words[i]);
}

// One panel, of which `rows` are wanted, times M tokens from token `first` on.
template <int M>
void panel_times(const char* panel, const Int8Shape& shape, int rows, const Int8Tokens& tokens, int64_t first,
                 const Lookahead& ahead, float* y, int64_t stride) {
  constexpr int kParts = M < kInt8Parts ? kInt8Parts / M : 1;
  const int64_t chunks = shape.chunks();
  const char* bytes = panel + shape.scale_bytes();
  const char* x = tokens.integers + first * shape.token_bytes();
  const int32_t* offsets = tokens.offsets + first * chunks;
  F32 values[M];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) values[m] = zero();
  for (int64_t c = 0; c < chunks; ++c) {
    Int8Sums sums[M];
    const char *chunk = bytes + c * kInt8ChunkBytes, *later = ahead.of(chunk);
    const auto bytes_of = [&](int64_t q) {
      prefetch_far(later + q * kLine);
      prefetch(chunk + q * kLine + kSoonInPanel);
      return bytes_at(reinterpret_cast<const uint8_t*>(chunk) + q * kLine);
    };
    add_chunk<M, kParts>(bytes_of, x + c * kInt8Chunk * kColumnBytes, shape, sums);
    const F32 scales = widen(reinterpret_cast<const uint16_t*>(panel) + c * kPanelRows);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      values[m] = add(values[m], mul(sums[m].without(offsets[m * chunks + c]), scales));
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
    const F32 result = mul(values[m], broadcast(tokens.scales[first + m]));
    if (rows == kPanelRows) {
      store(y + (first + m) * stride, result);
    } else {
      store_tail(y + (first + m) * stride, result, rows);
    }
  }
}

}  // namespace

void int8_round(const Matrix& matrix, int64_t first, int64_t rows, char* panel) {
  const Int8Shape shape{matrix.columns};
  uint16_t* scales = reinterpret_cast<uint16_t*>(panel);
  uint8_t* bytes = reinterpret_cast<uint8_t*>(panel + shape.scale_bytes());
  memset(panel, 0, static_cast<size_t>(shape.scale_bytes()));
  memset(bytes, kInt8Zero, static_cast<size_t>(shape.padded() * kPanelRows));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < shape.chunks(); ++c) {
      const int64_t column = c * kInt8Chunk, count = shape.columns_of(c);
      float values[kInt8Chunk];
      int32_t integers[kInt8Chunk] = {};
      uint8_t row[kInt8Chunk];
      read_row(matrix, first + r, column, count, values);
      const Unit unit = coarse(unit_of(values, count, kInt8Largest));
      to_integers(values, count, unit.factor, integers);
      for (int64_t i = 0; i < kInt8Chunk; ++i) row[i] = static_cast<uint8_t>(integers[i] + kInt8Zero);
      for (int64_t i = 0; i < count; i += kQuad)
        memcpy(bytes + ((column + i) * kPanelRows + r * kQuad), row + i, kQuad);
      scales[c * kPanelRows + r] = static_cast<uint16_t>(as_bits(unit.scale) >> 16);
    }
  }
}

void int8_pack(const float* x, int64_t columns, char* integers, int32_t* offsets, float* scale) {
  const Int8Shape shape{columns};
  const Unit unit = unit_of(x, columns, kActivationLargest);
  *scale = unit.scale;
  memset(integers, 0, static_cast<size_t>(shape.token_bytes()));
  for (int64_t c = 0; c < shape.chunks(); ++c) {
    const int64_t column = c * kInt8Chunk, count = shape.columns_of(c);
    int32_t values[kInt8Chunk], sum = 0;
    to_integers(x + column, count, unit.factor, values);
    for (int64_t i = 0; i < count; ++i) sum += values[i];
    for (int64_t i = 0; i < count; ++i) place(values[i], column + i, shape.padded(), integers);
    offsets[c] = kInt8Zero * sum;
  }
}

void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, float* y,
                   int64_t stride) {
  const Int8Shape shape{columns};
  const Lookahead ahead{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  for (int64_t p = 0; p < panels.count; ++p) {
    const int some = static_cast<int>(least(kPanelRows, rows - p * kPanelRows));
    const char* panel = panels.panels + p * shape.panel_bytes();
    for (int64_t t = 0; t < tokens.count; t += kInt8TokensAtOnce) {
      const int64_t count = least(kInt8TokensAtOnce, tokens.count - t);
      with_count<kInt8TokensAtOnce>(count, [&](auto m) {
        panel_times<m()>(panel, shape, some, tokens, t, t == 0 ? ahead : nothing, y + p * kPanelRows, stride);
      });
    }
  }
}

}  // namespace ossia::OSSIA_ISA
