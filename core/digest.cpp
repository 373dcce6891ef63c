#include "core/digest.hpp"

#include "core/md5_lanes.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include <isa-l/crc.h>
#include <libdeflate.h>
#include <openssl/evp.h>
#include <zlib.h>

namespace cairn {

namespace {

EVP_MD_CTX* as_context(void* context) { return static_cast<EVP_MD_CTX*>(context); }

/// Looking the algorithm up costs as much as hashing a small payload: done once.
const EVP_MD* md5_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "MD5", nullptr);
  return algorithm;
}

} // namespace

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t seed) {
  // ISA-L takes an int length and leaves the customary complement to the caller.
  auto crc = ~seed;
  while (!data.empty()) {
    const auto piece = data.first(std::min<std::size_t>(data.size(), 1U << 30));
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data()));
    crc = crc32_iscsi(bytes, static_cast<int>(piece.size()), crc);
    data = data.subspan(piece.size());
  }
  return ~crc;
}

std::uint32_t adler32(std::span<const std::byte> data, std::uint32_t seed) {
  if (data.empty())
    return seed; // zlib takes a null pointer as the wish for a first seed
  return static_cast<std::uint32_t>(
    ::adler32_z(seed, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

md5_hasher::md5_hasher() : context_(EVP_MD_CTX_new()) {
  if (!context_ || md5_algorithm() == nullptr
      || EVP_DigestInit_ex2(as_context(context_.get()), md5_algorithm(), nullptr) != 1)
    throw std::bad_alloc();
}
md5_hasher::md5_hasher(md5_hasher&&) noexcept = default;
md5_hasher& md5_hasher::operator=(md5_hasher&&) noexcept = default;
md5_hasher::~md5_hasher() = default;

void md5_hasher::context_deleter::operator()(void* context) const noexcept {
  EVP_MD_CTX_free(as_context(context));
}

void md5_hasher::update(std::span<const std::byte> data) {
  EVP_DigestUpdate(as_context(context_.get()), data.data(), data.size());
}

md5_digest md5_hasher::digest() const {
  md5_hasher copy;
  EVP_MD_CTX_copy_ex(as_context(copy.context_.get()), as_context(context_.get()));
  md5_digest out{};
  EVP_DigestFinal_ex(as_context(copy.context_.get()), out.data(), nullptr);
  return out;
}

namespace {

/// Checksums the data block by block, and while a block is in the cache passes it on.
template <class OnBlock>
data_checksums checksum_blocks(std::span<const std::byte> data, OnBlock on_block) {
  data_checksums out;
  out.blocks.reserve(checksum_block_count(data.size()));
  for (auto left = data; !left.empty();) {
    const auto block = left.first(std::min(left.size(), checksum_block_bytes));
    out.crc32c = crc32c(block, out.crc32c);
    if (data.size() > checksum_block_bytes)
      out.blocks.push_back(crc32c(block));
    on_block(block);
    left = left.subspan(block.size());
  }
  return out;
}

} // namespace

data_checksums checksum_data(std::span<const std::byte> data) {
  return checksum_blocks(data, [](std::span<const std::byte>) {});
}

payload_digests digest_payload(std::span<const std::byte> data) {
  // One context a thread: making one costs more than hashing a small payload.
  thread_local const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(),
                                                                                EVP_MD_CTX_free};
  if (!context || EVP_DigestInit_ex2(context.get(), md5_algorithm(), nullptr) != 1)
    throw std::bad_alloc();
  payload_digests out;
  out.checksums = checksum_blocks(data, [&](std::span<const std::byte> block) {
    EVP_DigestUpdate(context.get(), block.data(), block.size());
    out.adler32 = libdeflate_adler32(out.adler32, block.data(), block.size());
  });
  EVP_DigestFinal_ex(context.get(), out.md5.data(), nullptr);
  return out;
}

std::vector<payload_digests> digest_payloads(std::span<const std::span<const std::byte>> data) {
  constexpr std::size_t worth_lanes = 3; // a lane alone takes twice as long as OpenSSL
  std::vector<payload_digests> out;
  out.reserve(data.size());
  if (data.size() < worth_lanes) {
    for (const auto& each : data)
      out.push_back(digest_payload(each));
    return out;
  }
  std::vector<md5_digest> md5(data.size());
  md5_of_many(data, md5);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto& each = data[i];
    out.push_back(
      {md5[i], each.empty() ? 1 : libdeflate_adler32(1, each.data(), each.size()), checksum_data(each)});
  }
  return out;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const auto byte : bytes) {
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

} // namespace cairn
