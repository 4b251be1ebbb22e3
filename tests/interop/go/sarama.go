package main

import (
	"context"
	"time"

	"github.com/IBM/sarama"
)

func saramaGroup(stopping context.Context, one member) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Consumer.Group.Session.Timeout = one.session
	config.Consumer.Group.Heartbeat.Interval = heartbeat
	config.Consumer.Group.InstanceId = one.settings["group.instance.id"]
	config.Consumer.MaxWaitTime = fetchWait
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	group, err := sarama.NewConsumerGroup([]string{one.address}, one.group, config)
	check(err)
	for stopping.Err() == nil {
		// Returns at each rebalance, and when no coordinator answers.
		if err := group.Consume(stopping, []string{one.topic}, claims{}); err != nil {
			note("consume", err)
			time.Sleep(restartWait)
		}
	}
	note("close", group.Close())
}

type claims struct{}

func (claims) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (claims) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (claims) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	uncommitted := 0
	for record := range claim.Messages() {
		show(record.Partition, record.Offset, record.Value)
		session.MarkMessage(record, "")
		if uncommitted++; uncommitted == batch || len(claim.Messages()) == 0 {
			session.Commit()
			uncommitted = 0
		}
		// The group waits for this to return before partitions can change hands.
		if session.Context().Err() != nil {
			break
		}
	}
	session.Commit()
	return nil
}
