// Compiled with the flags of avx512bf16 and AMX's own. A panel's chunk is a tile as it lies, four columns of 16 rows in
// each of its lines; eight tokens are another, the two planes of each one after the other.

#include "int8_tile_kernels.h"

#include "int8_kernels.h"
#include "int8_sums.h"
#include "tile_setup.h"

namespace ossia::tiles {
namespace {

using namespace OSSIA_ISA;

// Tokens of a tile, and of a block: two tiles of tokens meet two panels, with four tiles of sums.
constexpr int64_t kTileTokens = kTileRows / 2, kBlockTokens = 2 * kTileTokens;

// Below this many tokens, tiles would be mostly empty.
constexpr int64_t kFewTokens = 3;

// Tokens of one pass over the panels: their activations stay in the second cache from panel to panel.
constexpr int64_t kPassTokens = 128;

// Tile registers, which instructions take as constants: 2 i + j holds the sums of tokens i and panel j, 4 + i the
// tokens, 6 + j the panel's chunk.
void configure(int64_t tokens, Setup& setup) {
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t left = tokens - i * kTileTokens;
    const int64_t lines = 2 * (left < 1 ? 1 : left < kTileTokens ? left : kTileTokens);
    setup.set(4 + i, lines, kTileWidth);
    setup.set(6 + i, kTileRows, kTileWidth);
    for (int64_t j = 0; j < 2; ++j) setup.set(2 * i + j, lines, kTileWidth);
  }
  setup.load();
}

template <bool kTwoTokens, bool kTwoPanels>
OSSIA_INLINE void add_chunk(const char* x, int64_t line, const char* w, int64_t panel) {
  _tile_loadd(4, x, line);
  _tile_loadd(6, w, kTileWidth);
  _tile_dpbsud(0, 4, 6);
  if constexpr (kTwoPanels) {
    _tile_loadd(7, w + panel, kTileWidth);
    _tile_dpbsud(1, 4, 7);
  }
  if constexpr (kTwoTokens) {
    _tile_loadd(5, x + kTileRows * line, line);
    _tile_dpbsud(2, 5, 6);
    if constexpr (kTwoPanels) _tile_dpbsud(3, 5, 7);
  }
}

// The sums of one segment, [2][2] tiles.
struct alignas(64) SegmentSums {
  int32_t tile[2][2][kTileRows * kPanelRows];
};

// What a segment's products need: where its tokens and its panels begin, and how far apart their lines and they are.
struct Segment {
  const char* x;
  int64_t line;
  const char* w;
  int64_t panel, chunks;
};

template <bool kTwoTokens, bool kTwoPanels>
void multiply(const Segment& segment, const Lookahead& ahead) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t c = 0; c < segment.chunks; ++c) {
    const char* w = segment.w + c * kInt8ChunkBytes;
    ahead.ask(w);
    if constexpr (kTwoPanels) ahead.ask(w + segment.panel);
    add_chunk<kTwoTokens, kTwoPanels>(segment.x + c * kInt8Chunk, segment.line, w, segment.panel);
  }
}

void multiply(bool two_tokens, bool two_panels, const Segment& segment, const Lookahead& ahead) {
  if (two_tokens && two_panels) return multiply<true, true>(segment, ahead);
  if (two_tokens) return multiply<true, false>(segment, ahead);
  if (two_panels) return multiply<false, true>(segment, ahead);
  return multiply<false, false>(segment, ahead);
}

void keep(bool two_tokens, bool two_panels, SegmentSums& sums) {
  _tile_stored(0, sums.tile[0][0], kTileWidth);
  if (two_panels) _tile_stored(1, sums.tile[0][1], kTileWidth);
  if (two_tokens) _tile_stored(2, sums.tile[1][0], kTileWidth);
  if (two_tokens && two_panels) _tile_stored(3, sums.tile[1][1], kTileWidth);
  settle();
}

// One or two panels times up to 16 tokens from token `first` on.
class Block {
 public:
  Block(const char* panels, int64_t panel_count, const Int8Shape& shape, const Int8Tokens& tokens, int64_t first,
        int64_t count)
      : panels_(panels), two_panels_(panel_count > 1), shape_(shape), tokens_(tokens), first_(first), count_(count) {}

  // While the tiles work on a segment, the sums of the one before are taken into float32.
  void run(int64_t rows, const Lookahead& ahead, float* y, int64_t stride) {
    const bool two_tokens = count_ > kTileTokens;
    const int64_t segments = shape_.segments();
    SegmentSums sums[2];
    for (int64_t s = 0; s <= segments; ++s) {
      if (s < segments) multiply(two_tokens, two_panels_, segment(s), ahead);
      for (int64_t t = 0; s > 0 && t < count_; ++t) add(s - 1, t, sums[(s - 1) % 2]);
      if (s < segments) keep(two_tokens, two_panels_, sums[s % 2]);
    }
    for (int64_t t = 0; t < count_; ++t) finish(t, rows, y + (first_ + t) * stride);
  }

 private:
  Segment segment(int64_t s) const {
    return {tokens_.integers + first_ * shape_.token_bytes() + s * kInt8Segment, shape_.token_bytes() / 2,
            panels_ + shape_.scale_bytes() + s * kSegmentBytes, shape_.panel_bytes(), shape_.chunks_of(s)};
  }

  void add(int64_t s, int64_t t, const SegmentSums& sums) {
    const int32_t offset = tokens_.offsets[(first_ + t) * shape_.segments() + s];
    for (int64_t j = 0; j < (two_panels_ ? 2 : 1); ++j) {
      const int32_t* lines = sums.tile[t / kTileTokens][j] + t % kTileTokens * 2 * kPanelRows;
      const Int8Sums both{_mm512_load_si512(lines), _mm512_load_si512(lines + kPanelRows)};
      const F32 scales = load(reinterpret_cast<const float*>(panels_ + j * shape_.panel_bytes()) + s * kPanelRows);
      const F32 before = s == 0 ? zero() : load(values_[t][j]);
      store(values_[t][j], OSSIA_ISA::add(before, mul(both.without(offset), scales)));
    }
  }

  void finish(int64_t t, int64_t rows, float* y) const {
    const F32 scale = broadcast(tokens_.scales[first_ + t]);
    for (int64_t j = 0; j < (two_panels_ ? 2 : 1); ++j) {
      const int64_t left = rows - j * kPanelRows;
      store_tail_or_all(y + j * kPanelRows, mul(load(values_[t][j]), scale), left);
    }
  }

  static void store_tail_or_all(float* y, F32 value, int64_t count) {
    if (count >= kPanelRows) return store(y, value);
    store_tail(y, value, static_cast<int>(count));
  }

  const char* panels_;
  const bool two_panels_;
  const Int8Shape& shape_;
  const Int8Tokens& tokens_;
  const int64_t first_, count_;
  alignas(64) float values_[kBlockTokens][2][kPanelRows];
};

void pass(const Int8Panels& panels, const Int8Shape& shape, int64_t rows, const Int8Tokens& tokens, int64_t begin,
          int64_t end, float* y, int64_t stride) {
  const Lookahead soon{panels.panels + panels.count * shape.panel_bytes(), panels.next}, nothing;
  int64_t configured = 0;
  for (int64_t p = 0; p < panels.count; p += 2) {
    const char* panel = panels.panels + p * shape.panel_bytes();
    for (int64_t t = begin; t < end; t += kBlockTokens) {
      const int64_t count = least(kBlockTokens, end - t);
      Setup setup;
      if (count != configured) configure(count, setup);
      configured = count;
      Block(panel, panels.count - p, shape, tokens, t, count)
          .run(rows - p * kPanelRows, t == 0 ? soon : nothing, y + p * kPanelRows, stride);
    }
  }
}

}  // namespace

void int8_products(const Int8Panels& panels, int64_t columns, int64_t rows, const Int8Tokens& tokens, float* y,
                   int64_t stride) {
  if (tokens.count < kFewTokens) return OSSIA_ISA::int8_products(panels, columns, rows, tokens, y, stride);
  const Int8Shape shape{columns};
  for (int64_t t = 0; t < tokens.count; t += kPassTokens) {
    const int64_t end = least(t + kPassTokens, tokens.count);
    pass(panels, shape, rows, tokens, t, end, y, stride);
  }
  _tile_release();
}

}  // namespace ossia::tiles
