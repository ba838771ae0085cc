// Weights rounded to 8 bits, and the activations they are multiplied by.
//
// A weight w of row r is about (byte - 128) * scale, with one scale for each chunk of 64 columns of a row; an
// activation x is an integer of 15 bits times the token's scale. The products of a chunk are summed as integers,
// exactly, so that neither the order of these sums nor the instruction set matters; then the sum is multiplied by the
// chunk's scale and added in float32, first chunk first, with a rounding each, because plain C++ has no fused
// operation.
//
// Rows lie in panels of 16. A panel is its scales, [S][16] bfloat16 up to a whole cache line, and then its bytes, four
// columns of a row together: [C / 4][16][4], C rounded up to whole chunks. Rows and columns that are none hold 0. So a
// register has a sum for each of 16 rows, and four columns of 16 rows are one cache line, which is also what a matrix
// tile wants.
//
// Why 64: the largest of 64 normal numbers is 2.4 deviations, of 256 2.8, and a step is as much smaller. In bfloat16
// scales are 3 % of the bytes, half of what float32 would take, and round up by 0.2 % on average.

#ifndef OSSIA_INT8_H_
#define OSSIA_INT8_H_

#include <stdint.h>
#include <string.h>

namespace ossia {

constexpr int64_t kPanelRows = 16;
constexpr int64_t kQuad = 4;        // columns that lie together
constexpr int64_t kInt8Chunk = 64;  // columns with one scale, and of a matrix tile
constexpr int64_t kInt8ChunkBytes = kInt8Chunk * kPanelRows;
constexpr int32_t kInt8Zero = 128;             // the byte of the weight 0
constexpr float kInt8Largest = 127.f;          // of a weight, in units of its scale
constexpr float kActivationLargest = 16256.f;  // of an activation: 127 * 128
constexpr float kInt8Smallest = 0x1p-100f;     // where all of a scale's values are smaller, they count as 0

constexpr int64_t kLine = 64;  // bytes

// Not std::min, which kernels must not call (simd.h says why).
constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// How a matrix of some number of columns lies.
struct Int8Shape {
  int64_t columns;

  int64_t chunks() const { return (columns + kInt8Chunk - 1) / kInt8Chunk; }
  int64_t padded() const { return chunks() * kInt8Chunk; }
  int64_t scale_bytes() const {
    const int64_t bytes = chunks() * kPanelRows * static_cast<int64_t>(sizeof(uint16_t));
    return (bytes + kLine - 1) / kLine * kLine;
  }
  // Of chunk c, which is shorter at a row's end.
  int64_t columns_of(int64_t c) const { return least(kInt8Chunk, columns - c * kInt8Chunk); }
  int64_t panel_bytes() const { return scale_bytes() + padded() * kPanelRows; }
  // Bytes of a token's integers: two for each column. Not a multiple of 4096, because rows at such distances share few
  // places of the first cache.
  int64_t token_bytes() const { return 2 * (padded() + kInt8Chunk); }
};

// The scale of chunk c of row r of a panel. Static, as everything inline that kernels of several instruction sets share
// must be.
static inline float scale_at(const char* panel, int64_t c, int64_t r) {
  uint16_t half;
  memcpy(&half, panel + (c * kPanelRows + r) * static_cast<int64_t>(sizeof(half)), sizeof(half));
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float scale;
  memcpy(&scale, &bits, sizeof(scale));
  return scale;
}

constexpr int64_t panels_of(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

// The activations of some tokens. `integers` [T, token_bytes()] lie as the instruction set likes; `offsets` [T, S] are
// what the weights' zero adds to a chunk's sum; `scales` [T] is NaN for a token with a value that is not finite.
struct Int8Tokens {
  const char* integers;
  const int32_t* offsets;
  const float* scales;
  int64_t count;
};

// Panels `first` up to `first` + `count` of a matrix at `panels`; `next` is what this thread comes to then, or nullptr.
struct Int8Panels {
  const char* panels;
  const char* next;
  int64_t count;
};

}  // namespace ossia

#endif  // OSSIA_INT8_H_
