package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const closeWait = 10 * time.Second

func franzGo(stopping context.Context, one member) {
	options := []kgo.Opt{
		kgo.SeedBrokers(one.address), kgo.ConsumeTopics(one.topic), kgo.ConsumerGroup(one.group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(one.session), kgo.HeartbeatInterval(heartbeat), kgo.FetchMaxWait(fetchWait),
	}
	switch name := one.settings["partition.assignment.strategy"]; name {
	case "range":
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	case "cooperative-sticky":
		options = append(options, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	default:
		check(fmt.Errorf("no strategy %q", name))
	}
	if instance, ok := one.settings["group.instance.id"]; ok {
		options = append(options, kgo.InstanceID(instance))
	}
	client, err := kgo.NewClient(options...)
	check(err)
	for stopping.Err() == nil {
		fetches := client.PollRecords(stopping, batch)
		fetches.EachError(func(_ string, _ int32, err error) { note("fetch", err) })
		fetches.EachRecord(func(record *kgo.Record) { show(record.Partition, record.Offset, record.Value) })
		if !fetches.Empty() {
			// A record that was shown is committed also when the member is to stop.
			ending, cancel := context.WithTimeout(context.WithoutCancel(stopping), closeWait)
			note("commit", client.CommitUncommittedOffsets(ending))
			cancel()
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
}

func franzGoProducer(stopping context.Context, one member) {
	client, err := kgo.NewClient(kgo.SeedBrokers(one.address), kgo.DefaultProduceTopic(one.topic))
	check(err)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "\t")
		check(client.ProduceSync(stopping, kgo.KeyStringRecord(key, value)).FirstErr())
	}
	client.Close()
}
