#include "int4_kernels.h"

#include "count.h"
#include "int8_sums.h"

namespace ossia::OSSIA_ISA {
namespace {

// What `lower` and `upper` make of a half's 1 (int8_sums.h).
constexpr float kUnit = 16.f;
static_assert(kInt4Zero * static_cast<int32_t>(kUnit) == kInt8Zero);

// One panel, of which `rows` are wanted, times M tokens from token `first` on.
template <int M>
void panel_times(const char* panel, const Int4Shape& shape, int rows, const Int4Tokens& all, int64_t first,
                 const Lookahead& ahead, const Int4Results& to) {
  constexpr int kParts = M < kInt8Parts ? kInt8Parts / M : 1;
  const int64_t chunks = shape.chunks();
  const char* x = all.tokens.integers + first * shape.token_bytes();
  const int32_t* offsets = all.tokens.offsets + first * chunks;
  const float* sizes = all.sizes + first * chunks;
  F32 values[M], squares[M];
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) values[m] = squares[m] = zero();
  for (int64_t c = 0; c < chunks; ++c) {
    const char* chunk = panel + shape.scale_bytes() + c * kInt4ChunkBytes;
    const char* later = ahead.of(chunk);
    Int8Sums sums[M];
    const auto bytes_of = [&](int64_t q) {
      const int64_t at = q / 2 * kLine;
      const Bytes both = bytes_at(reinterpret_cast<const uint8_t*>(chunk) + at);
      if (q % 2 != 0) return upper(both);
      prefetch_far(later + at);
      prefetch(chunk + at + kSoonInPanel);
      return lower(both);
    };
    add_chunk<M, kParts>(bytes_of, x + c * kInt8Chunk * kColumnBytes, shape, sums);
    const F32 scales = widen(reinterpret_cast<const uint16_t*>(panel) + c * kPanelRows);
#pragma GCC unroll 12
    for (int m = 0; m < M; ++m) {
      const F32 spread = mul(scales, broadcast(sizes[m * chunks + c]));
      values[m] = add(values[m], mul(sums[m].without(offsets[m * chunks + c]), scales));
      squares[m] = add(squares[m], mul(spread, spread));
    }
  }
#pragma GCC unroll 12
  for (int m = 0; m < M; ++m) {
    const int64_t at = (first + m) * to.stride;
    store_tail(to.y + at, mul(values[m], broadcast(all.tokens.scales[first + m] / kUnit)), rows);
    store_tail(to.squares + at, squares[m], rows);
  }
}

}  // namespace

void int4_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int4Tokens& all,
                   const Int4Results& to) {
  const Int4Shape shape{{columns}};
  const Lookahead ahead{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  for (int64_t p = 0; p < panels.count; ++p) {
    const int64_t row = p * kPanelRows, count = all.tokens.count;
    const int some = static_cast<int>(least(kPanelRows, rows - row));
    for (int64_t t = 0; t < count; t += kInt8TokensAtOnce) {
      with_count<kInt8TokensAtOnce>(least(kInt8TokensAtOnce, count - t), [&](auto m) {
        panel_times<m()>(panels.panels + p * shape.panel_bytes(), shape, some, all, t, t == 0 ? ahead : nothing,
                         {to.y + row, to.squares + row, to.stride});
      });
    }
  }
}

}  // namespace ossia::OSSIA_ISA
