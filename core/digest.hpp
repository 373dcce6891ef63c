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

/// All three of one payload, in one pass through the cache.
struct payload_digests {
  md5_digest md5{};
  std::uint32_t adler32 = 1;
  std::uint32_t crc32c = 0;
};
payload_digests digest_payload(std::span<const std::byte> data);
/// The same of many payloads, side by side: several times as fast.
std::vector<payload_digests> digest_payloads(std::span<const std::span<const std::byte>> data);

/// Lower-case hexadecimal.
std::string to_hex(std::span<const std::uint8_t> bytes);

} // namespace cairn
