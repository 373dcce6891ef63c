/// How long an archive takes over loopback, beside a raw write + fdatasync of the same bytes, one after the
/// other in the same run: archive_latency HOST:PORT [COUNT] [OUTSTANDING] [SIZE]. A measuring tool; it
/// asserts nothing.

#include "core/clock.hpp"
#include "core/digest.hpp"
#include "net/client.hpp"
#include "net/network.hpp"
#include "net/size_text.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace {

using namespace cairn;
using clock_type = std::chrono::steady_clock;

double us_since(clock_type::time_point begin) {
  return std::chrono::duration<double, std::micro>(clock_type::now() - begin).count();
}

double percentile(std::vector<double>& sample, std::size_t percent) {
  std::sort(sample.begin(), sample.end());
  return sample[std::min(sample.size() - 1, sample.size() * percent / 100)];
}

/// A file of its own beside the working directory, removed at once.
class raw_file {
public:
  raw_file() : fd_(::open("archive_latency.raw", O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)) {
    ::unlink("archive_latency.raw");
  }
  ~raw_file() { ::close(fd_); }
  raw_file(const raw_file&) = delete;
  raw_file& operator=(const raw_file&) = delete;

  double append_and_sync(std::span<const std::byte> data) {
    const auto begin = clock_type::now();
    if (::write(fd_, data.data(), data.size()) != static_cast<ssize_t>(data.size()) || ::fdatasync(fd_) != 0)
      fmt::print(stderr, "the raw write failed\n");
    return us_since(begin);
  }

private:
  int fd_;
};

int run(client& node, int count, std::size_t outstanding, std::size_t size) {
  auto data = payload::uninitialized(size);
  for (std::size_t i = 0; i < size; ++i)
    data.mutable_bytes()[i] = std::byte(static_cast<unsigned char>(i * 7));
  const auto digests = digest_payload(data.bytes());
  const sequence_info sequence{0, static_cast<std::uint32_t>(size), 0, digests.md5, digests.adler32};
  const file_info file{static_cast<std::int64_t>(size), digests.adler32, digests.md5};

  raw_file raw;
  std::vector<double> raw_us, archive_us;
  double raw_total_us = 0;
  std::deque<std::pair<clock_type::time_point, pending_reply<archive_reply>>> under_way;
  const auto begin = clock_type::now();
  for (int i = 0; i < count; ++i) {
    segment_info segment;
    segment.collection = collection_id{1};
    segment.version = node.next_unified_id();
    segment.key = fmt::format("latency/{}", segment.version.value);
    segment.timestamp = now_us();
    segment.segment_num = 1;
    under_way.emplace_back(clock_type::now(),
                           node.send<archive_reply>(archive_key_entire{
                             {}, segment, sequence, file, {node.node().node, {}}, {}, data}));
    while (under_way.size() >= outstanding || (i == count - 1 && !under_way.empty())) {
      const auto reply = under_way.front().second();
      if (!reply || reply->result != errc::success) {
        fmt::print(stderr, "{}\n", reply ? reply->error_message : reply.error().message);
        return 1;
      }
      archive_us.push_back(us_since(under_way.front().first));
      under_way.pop_front();
    }
    if (outstanding == 1) {
      raw_us.push_back(raw.append_and_sync(data.bytes()));
      raw_total_us += raw_us.back();
    }
  }
  const auto seconds = (us_since(begin) - raw_total_us) / 1e6;
  fmt::print("{} x {} outstanding: {:.0f} archives/s, p50 {:.0f} us, p99 {:.0f} us", human_size(size),
             outstanding, count / seconds, percentile(archive_us, 50), percentile(archive_us, 99));
  if (!raw_us.empty())
    fmt::print("; raw write + fdatasync p50 {:.0f} us, ratio {:.2f}", percentile(raw_us, 50),
               percentile(archive_us, 50) / percentile(raw_us, 50));
  fmt::print("\n");
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const auto address = parse_address(argc > 1 ? argv[1] : default_address);
  if (!address) {
    fmt::print(stderr, "{}\n", address.error().message);
    return 2;
  }
  const auto number = [&](int index, int otherwise) {
    return argc > index ? std::max(1, std::atoi(argv[index])) : otherwise;
  };
  auto net = network::open();
  if (!net) {
    fmt::print(stderr, "{}\n", net.error().message);
    return 1;
  }
  auto node = client::connect((*net)->wire(), *address);
  if (!node) {
    fmt::print(stderr, "{}\n", node.error().message);
    return 5;
  }
  return run(**node, number(2, 2'000), static_cast<std::size_t>(number(3, 1)),
             static_cast<std::size_t>(number(4, 4'096)));
}
