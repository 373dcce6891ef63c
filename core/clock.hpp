#pragma once
/// Wall clock.

#include "core/ids.hpp"

#include <chrono>

namespace cairn {

inline timestamp_us now_us() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return timestamp_us{std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count()};
}

} // namespace cairn
