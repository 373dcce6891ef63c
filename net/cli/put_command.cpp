#include "core/clock.hpp"
#include "core/digest.hpp"
#include "net/cli/command.hpp"
#include "net/cli/progress.hpp"
#include "net/size_text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace cairn::cli {

namespace {

/// Large enough that a sequence's costs do not matter, small enough that several fit a client's window.
constexpr std::size_t sequence_bytes = 4U << 20U;
constexpr std::size_t max_sequences_under_way = 8;

/// A file or standard input, read in order.
class source {
public:
  ~source() {
    if (fd_ > STDIN_FILENO)
      ::close(fd_);
  }
  /// @returns why it cannot be read, or nothing
  std::optional<std::string> open(const std::string& path) {
    if (path == "-") {
      fd_ = STDIN_FILENO;
      return {};
    }
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0)
      return fmt::format("cannot read {}: {}", path, std::strerror(errno));
    struct stat about {};
    if (::fstat(fd_, &about) == 0 && S_ISDIR(about.st_mode))
      return fmt::format("{} is a directory: name a file", path);
    if (S_ISREG(about.st_mode))
      size_bytes_ = static_cast<std::uint64_t>(about.st_size);
    return {};
  }
  [[nodiscard]] std::optional<std::uint64_t> size_bytes() const { return size_bytes_; }

  /// The next sequence_bytes bytes, fewer at the end. @returns an error text instead when reading fails
  tl::expected<payload, std::string> next() {
    auto piece = payload::uninitialized(sequence_bytes);
    if (piece.size() != sequence_bytes)
      return tl::unexpected(std::string{"out of memory"});
    std::size_t filled = 0;
    while (filled < sequence_bytes) {
      const auto got = ::read(fd_, piece.mutable_bytes().data() + filled, sequence_bytes - filled);
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return tl::unexpected(fmt::format("reading failed: {}", std::strerror(errno)));
      if (got == 0)
        break;
      filled += static_cast<std::size_t>(got);
    }
    // A small object must not hold on to a large buffer.
    return filled == sequence_bytes ? piece : payload::copy_of(piece.bytes().first(filled));
  }

private:
  int fd_ = -1;
  std::optional<std::uint64_t> size_bytes_;
};

std::optional<metadata> parse_meta(output& out, const std::vector<std::string>& pairs) {
  metadata meta;
  for (const auto& pair : pairs) {
    const auto equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      out.error(fmt::format("--meta \"{}\" is not of the form key=value", pair));
      return std::nullopt;
    }
    meta.insert_or_assign(pair.substr(0, equals), pair.substr(equals + 1));
  }
  return meta;
}

/// One upload: reads ahead by one sequence, because the last one travels in another message than the others.
class upload {
public:
  upload(client& node, output& out, const put_options& options, metadata meta)
      : node_(node), out_(out), meta_(std::move(meta)) {
    segment_.collection = collection_id{options.collection};
    segment_.key = options.key;
    segment_.version = node.next_unified_id();
    segment_.timestamp = now_us();
    segment_.segment_num = 1;
  }

  exit_code run(source& from, progress& bar) {
    auto piece = from.next();
    if (!piece)
      return failed(piece.error());
    for (;;) {
      auto following = piece->size() < sequence_bytes ? payload{} : from.next();
      if (!following)
        return failed(following.error());
      const auto is_last = following->empty();
      const auto bytes = piece->size();
      send(std::move(*piece), is_last);
      bar.advance(bytes);
      while (under_way_.size() > (is_last ? 0 : max_sequences_under_way - 1))
        if (!settle())
          return code_;
      if (is_last)
        return exit_code::done;
      piece = std::move(*following);
    }
  }

  [[nodiscard]] const segment_info& segment() const { return segment_; }
  [[nodiscard]] const file_info& file() const { return file_; }
  [[nodiscard]] const receipt& proof() const { return proof_; }
  [[nodiscard]] std::int32_t sequence_count() const { return next_sequence_; }

private:
  exit_code failed(const std::string& why) {
    out_.error(why);
    return exit_code::failed;
  }

  void send(payload data, bool is_last) {
    const auto digests = digest_payload(data.bytes());
    const sequence_info sequence{next_sequence_++, static_cast<std::uint32_t>(data.size()), 0, digests.md5,
                                 digests.adler32};
    if (is_last && sequence.sequence_num == 0) {
      file_ = {sequence.size_bytes, digests.adler32, digests.md5};
    } else {
      whole_.update(data.bytes());
      file_.adler32 = adler32(data.bytes(), file_.adler32);
      file_.size_bytes += sequence.size_bytes;
      if (is_last)
        file_.md5 = whole_.digest();
    }
    const node_names nodes{node_.node().node, {}};
    const named_segment_key key{segment_.version, 0, segment_.segment_num, {}};
    if (is_last && sequence.sequence_num == 0)
      under_way_.push_back(node_.send<archive_reply>(
        archive_key_entire{{}, segment_, sequence, file_, nodes, meta_, std::move(data)}));
    else if (is_last)
      under_way_.push_back(
        node_.send<archive_reply>(archive_key_final{{}, key, sequence, file_, meta_, std::move(data)}));
    else if (sequence.sequence_num == 0)
      under_way_.push_back(
        node_.send<archive_reply>(archive_key_start{{}, segment_, sequence, nodes, std::move(data)}));
    else
      under_way_.push_back(node_.send<archive_reply>(archive_key_next{{}, key, sequence, std::move(data)}));
  }

  bool settle() {
    auto waiting = std::move(under_way_.front());
    under_way_.pop_front();
    auto reply = take(out_, waiting(), code_);
    if (reply)
      proof_ = reply->proof;
    return reply.has_value();
  }

  client& node_;
  output& out_;
  segment_info segment_;
  metadata meta_;
  file_info file_;
  md5_hasher whole_;
  std::int32_t next_sequence_ = 0;
  std::deque<pending_reply<archive_reply>> under_way_;
  receipt proof_;
  exit_code code_ = exit_code::failed;
};

} // namespace

exit_code put(const context& where, const put_options& given) {
  auto options = given;
  if (options.key.empty())
    options.key =
      options.file == "-" ? std::string{} : std::filesystem::path(options.file).filename().string();
  if (options.key.empty()) {
    where.out.error("standard input has no name: give one with --key");
    return exit_code::usage;
  }
  auto meta = parse_meta(where.out, options.meta);
  if (!meta)
    return exit_code::usage;
  source from;
  if (auto why = from.open(options.file)) {
    where.out.error(*why);
    return exit_code::failed;
  }
  auto code = exit_code::failed;
  auto node = connect(where, code);
  if (!node)
    return code;

  const auto begin = std::chrono::steady_clock::now();
  upload job(*node, where.out, options, std::move(*meta));
  {
    progress bar("put " + options.key, from.size_bytes(), !where.out.is_json());
    code = job.run(from, bar);
  }
  if (code != exit_code::done)
    return code;
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const auto& proof = job.proof();
  where.out.result({{"key", options.key},
                    {"collection", options.collection},
                    {"version", job.segment().version.value},
                    {"size_bytes", job.file().size_bytes},
                    {"md5", to_hex(job.file().md5)},
                    {"sequences", job.sequence_count()},
                    {"seconds", seconds},
                    {"receipt",
                     {{"lsn", proof.lsn.value},
                      {"value_file", proof.value_file.value},
                      {"offset_bytes", proof.offset_bytes},
                      {"length_bytes", proof.length_bytes},
                      {"crc32c", proof.crc32c},
                      {"round", proof.round.value}}}},
                   fmt::format("{}  {}  version {}  durable as record {} in value file {}", options.key,
                               human_size(static_cast<std::uint64_t>(job.file().size_bytes)),
                               job.segment().version.value, proof.lsn.value, proof.value_file.value));
  return exit_code::done;
}

} // namespace cairn::cli
