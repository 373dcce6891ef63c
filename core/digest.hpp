#pragma once
/// Digests of stored bytes: MD5 (OpenSSL; of many at once md5_lanes.hpp), Adler-32 (zlib; of payloads
/// libdeflate, which has it in vector lanes), CRC-32C (ISA-L).

#include "core/archive.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn {

/// CRC-32C (Castagnoli, reflected, as in RFC 3720); crc32c of nothing is 0. `seed` continues an earlier one.
std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed = 0);

/// Adler-32 (RFC 1950); of nothing it is 1. `seed` continues an earlier one.
std::uint32_t adler32(std::span<const std::byte> data, std::uint32_t seed = 1);

/// MD5 (RFC 1321) of bytes that come in pieces.
class md5_hasher {
public:
  md5_hasher();
  md5_hasher(md5_hasher&&) noexcept;
  md5_hasher& operator=(md5_hasher&&) noexcept;
  ~md5_hasher();

  void update(std::span<const std::byte> data);
  /// Digest of all so far; more may follow.
  [[nodiscard]] md5_digest digest() const;

private:
  struct context_deleter {
    void operator()(void* context) const noexcept;
  };
  std::unique_ptr<void, context_deleter> context_;
};

/// Data longer than this have a checksum for each block of it, so that a part can be verified by itself.
inline constexpr std::size_t checksum_block_bytes = 32U << 10U;

/// How many block checksums so many bytes have. A single block has none: the checksum of the whole is its
/// own.
constexpr std::size_t checksum_block_count(std::size_t data_bytes) {
  return data_bytes <= checksum_block_bytes ? 0 : (data_bytes - 1) / checksum_block_bytes + 1;
}

/// What stored bytes are verified with each time they are read.
struct data_checksums {
  std::uint32_t crc32c = 0;          ///< of all
  std::vector<std::uint32_t> blocks; ///< CRC-32C of each block

  bool operator==(const data_checksums&) const = default;
};
data_checksums checksum_data(std::span<const std::byte> data);

/// All of one payload, in one pass through the cache.
struct payload_digests {
  md5_digest md5{};
  std::uint32_t adler32 = 1;
  data_checksums checksums;
};
payload_digests digest_payload(std::span<const std::byte> data);
/// The same of many payloads, side by side: several times as fast.
std::vector<payload_digests> digest_payloads(std::span<const std::span<const std::byte>> data);

/// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

} // namespace cairn
