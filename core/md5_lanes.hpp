#pragma once
/// MD5 of many buffers side by side: a step of MD5 waits for the one before, so one core does sixteen buffers
/// in little more than the time of one. OpenSSL stays the reference, and serves single buffers.

#include "core/archive.hpp"

#include <cstddef>
#include <span>

namespace cairn {

/// @param data any number of buffers, of any lengths; best of at least md5_lane_count, of like lengths
/// @param out as many
void md5_of_many(std::span<const std::span<const std::byte>> data, std::span<md5_digest> out);

/// Buffers that are under way at a time.
inline constexpr std::size_t md5_lane_count = 16;

} // namespace cairn
