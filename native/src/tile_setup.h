// What the kernels on matrix tiles share.

#ifndef OSSIA_TILE_SETUP_H_
#define OSSIA_TILE_SETUP_H_

#include <stdint.h>

#include "simd.h"

namespace ossia::tiles {

// Rows of a tile, its bytes a row, and its bytes.
constexpr int64_t kTileRows = 16, kTileWidth = 64, kTileBytes = kTileRows * kTileWidth;

// The shapes of the tile registers. What is absent is to be given the smallest shape, because no tile may have none.
struct alignas(64) Setup {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t width[16] = {};
  uint8_t rows[16] = {};

  void set(int64_t tile, int64_t tile_rows, int64_t bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    width[tile] = static_cast<uint16_t>(bytes);
  }

  // Not _tile_loadconfig, of which GCC 12 believes that it reads eight bytes.
  void load() const { __asm__ volatile("ldtilecfg %0" : : "m"(*this)); }
};

// What is written before is in memory before a tile is read, and the other way round; the compiler does not see that
// tiles read and write memory.
OSSIA_INLINE void settle() { __asm__ volatile("" ::: "memory"); }

}  // namespace ossia::tiles

#endif  // OSSIA_TILE_SETUP_H_
