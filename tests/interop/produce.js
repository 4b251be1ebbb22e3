// Produces the records of an order read from standard input, with kafkajs or @platformatic/kafka; clients.py says its form.
'use strict'

const fs = require('node:fs')
const modules = process.env.NODE_MODULES
const order = JSON.parse(fs.readFileSync(0, 'utf8'))
const batches = []
for (let at = 0; at < order.records.length; at += 250) {
  batches.push(order.records.slice(at, at + 250))
}

async function kafkajs () {
  const { Kafka, CompressionTypes, Partitioners, logLevel } = require(`${modules}/kafkajs`)
  const kafka = new Kafka({ clientId: 'interop', brokers: [order.address], logLevel: logLevel.WARN })
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    ...(order.settings.idempotent ? { idempotent: true, maxInFlightRequests: 1 } : {})
  })
  await producer.connect()
  for (const batch of batches) {
    await producer.send({
      topic: order.topic,
      compression: order.settings.gzip ? CompressionTypes.GZIP : CompressionTypes.None,
      messages: batch.map(([key, value]) => ({ key, value }))
    })
  }
  await producer.disconnect()
}

async function platformatic () {
  const { Producer, ProduceAcks, stringSerializers } = await import(`${modules}/@platformatic/kafka/dist/index.js`)
  const producer = new Producer({
    clientId: 'interop',
    bootstrapBrokers: [order.address],
    serializers: stringSerializers,
    ...(order.settings.idempotent ? { idempotent: true } : {})
  })
  for (const batch of batches) {
    await producer.send({
      acks: ProduceAcks.ALL,
      compression: order.settings.gzip ? 'gzip' : 'none',
      messages: batch.map(([key, value]) => ({ topic: order.topic, key, value }))
    })
  }
  await producer.close()
}

const clients = { kafkajs, platformatic }
clients[order.client]().catch(error => {
  console.error(error)
  process.exitCode = 1
})
