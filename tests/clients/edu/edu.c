// SPDX-License-Identifier: GPL-2.0
/*
 * A driver for QEMU's educational PCI device, for tests: it imports dma-bufs, and has the
 * device do DMA to and from them.
 *
 * The device has a buffer of 4 KiB and copies between it and the machine's memory, at most
 * 4095 bytes at once. edu->lock serialises everything.
 */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/iosys-map.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "edu.h"

#define EDU_SOURCE		0x80
#define EDU_DESTINATION		0x88
#define EDU_COUNT		0x90
#define EDU_COMMAND		0x98
#define EDU_COMMAND_START	BIT(0)
#define EDU_COMMAND_TO_MEMORY	BIT(1)
/* Where the device's buffer is, in addresses that only the device knows. */
#define EDU_BUFFER		0x40000

#define EDU_TIMEOUT_US		5000000

#ifdef EDU_HAVE_IMPORT_NS_STRING
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif

/* 6.2 has importers that do not hold the reservation lock say so. */
#ifndef EDU_HAVE_UNLOCKED
#define dma_buf_map_attachment_unlocked		dma_buf_map_attachment
#define dma_buf_unmap_attachment_unlocked	dma_buf_unmap_attachment
#define dma_buf_vmap_unlocked			dma_buf_vmap
#define dma_buf_vunmap_unlocked			dma_buf_vunmap
#endif

struct edu {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct mutex lock;	/* the device, and all files' mappings */
};

struct edu_file {
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sg_table *table;
	enum dma_data_direction dir;
};

/* There is one device, and the driver's test unbinds it only when no file is open. */
static struct edu edu;

/* --- transfers --- */

static int edu_transfer(u64 from, u64 to, u32 length, u64 command)
{
	u64 state;

	writeq(from, edu.regs + EDU_SOURCE);
	writeq(to, edu.regs + EDU_DESTINATION);
	writeq(length, edu.regs + EDU_COUNT);
	writeq(command | EDU_COMMAND_START, edu.regs + EDU_COMMAND);
	return readq_poll_timeout(edu.regs + EDU_COMMAND, state, !(state & EDU_COMMAND_START),
				  1000, EDU_TIMEOUT_US);
}

/* The device's address of byte @offset of the dma-buf, if @length bytes follow it in one piece. */
static int edu_address(struct edu_file *file, u64 offset, u32 length, dma_addr_t *address)
{
	struct scatterlist *sg;
	int i;

	for_each_sgtable_dma_sg(file->table, sg, i) {
		if (offset < sg_dma_len(sg)) {
			*address = sg_dma_address(sg) + offset;
			return offset + length <= sg_dma_len(sg) ? 0 : -ERANGE;
		}
		offset -= sg_dma_len(sg);
	}
	return -EINVAL;
}

static int edu_copy(struct edu_file *file, struct edu_copy __user *uarg, bool to_memory)
{
	struct edu_copy arg;
	dma_addr_t address;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (!file->table || !arg.length || arg.length > EDU_MAX)
		return -EINVAL;
	ret = edu_address(file, arg.offset, arg.length, &address);
	if (ret)
		return ret;
	if (to_memory)
		return edu_transfer(EDU_BUFFER, address, arg.length, EDU_COMMAND_TO_MEMORY);
	return edu_transfer(address, EDU_BUFFER, arg.length, 0);
}

/* --- dma-bufs --- */

static void edu_unmap(struct edu_file *file)
{
	if (!file->table)
		return;
	dma_buf_unmap_attachment_unlocked(file->attach, file->table, file->dir);
	dma_buf_detach(file->dmabuf, file->attach);
	dma_buf_put(file->dmabuf);
	file->table = NULL;
}

static int edu_attach(struct edu_file *file, int fd, enum dma_data_direction dir)
{
	struct sg_table *table;
	int ret;

	file->dmabuf = dma_buf_get(fd);
	if (IS_ERR(file->dmabuf))
		return PTR_ERR(file->dmabuf);
	file->attach = dma_buf_attach(file->dmabuf, &edu.pdev->dev);
	if (IS_ERR(file->attach)) {
		ret = PTR_ERR(file->attach);
		goto err_put;
	}
	table = dma_buf_map_attachment_unlocked(file->attach, dir);
	if (IS_ERR(table)) {
		ret = PTR_ERR(table);
		goto err_detach;
	}
	file->table = table;
	file->dir = dir;
	return 0;

err_detach:
	dma_buf_detach(file->dmabuf, file->attach);
err_put:
	dma_buf_put(file->dmabuf);
	return ret;
}

static int edu_map(struct edu_file *file, struct edu_map __user *uarg)
{
	static const enum dma_data_direction directions[] = {
		[EDU_READS] = DMA_TO_DEVICE,
		[EDU_WRITES] = DMA_FROM_DEVICE,
		[EDU_BOTH] = DMA_BIDIRECTIONAL,
	};
	struct edu_map arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (file->table || arg.direction >= ARRAY_SIZE(directions))
		return -EINVAL;
	ret = edu_attach(file, arg.fd, directions[arg.direction]);
	if (ret)
		return ret;
	arg.out_pieces = file->table->orig_nents;
	arg.out_segments = file->table->nents;
	arg.out_length = sg_dma_len(file->table->sgl);
	return copy_to_user(uarg, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static int edu_sum(u64 __user *uarg)
{
	struct dma_buf *dmabuf;
	struct iosys_map map;
	u64 arg, sum = 0;
	size_t i;
	int ret;

	if (get_user(arg, uarg))
		return -EFAULT;
	dmabuf = dma_buf_get(arg);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = dma_buf_vmap_unlocked(dmabuf, &map);
	if (!ret) {
		for (i = 0; i < dmabuf->size; i++)
			sum += ((const u8 *)map.vaddr)[i];
		dma_buf_vunmap_unlocked(dmabuf, &map);
		ret = put_user(sum, uarg);
	}
	dma_buf_put(dmabuf);
	return ret;
}

/* --- files --- */

static long edu_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct edu_file *file = filp->private_data;
	long ret = 0;

	mutex_lock(&edu.lock);
	switch (cmd) {
	case EDU_MAP:
		ret = edu_map(file, (void __user *)arg);
		break;
	case EDU_UNMAP:
		edu_unmap(file);
		break;
	case EDU_READ:
	case EDU_WRITE:
		ret = edu_copy(file, (void __user *)arg, cmd == EDU_WRITE);
		break;
	case EDU_SUM:
		ret = edu_sum((void __user *)arg);
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&edu.lock);
	return ret;
}

static int edu_open(struct inode *inode, struct file *filp)
{
	struct edu_file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return -ENOMEM;
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int edu_release(struct inode *inode, struct file *filp)
{
	mutex_lock(&edu.lock);
	edu_unmap(filp->private_data);
	mutex_unlock(&edu.lock);
	kfree(filp->private_data);
	return 0;
}

static const struct file_operations edu_fops = {
	.owner		= THIS_MODULE,
	.open		= edu_open,
	.release	= edu_release,
	.unlocked_ioctl	= edu_ioctl,
	.llseek		= noop_llseek,
};

static struct miscdevice edu_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "edu",
	.fops	= &edu_fops,
};

/* --- the device --- */

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int ret;

	if (edu.pdev)
		return -EBUSY;
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu.regs = pcim_iomap(pdev, 0, 0);
	if (!edu.regs)
		return -ENOMEM;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);
	pci_set_master(pdev);
	mutex_init(&edu.lock);
	edu.pdev = pdev;
	ret = misc_register(&edu_misc);
	if (ret)
		edu.pdev = NULL;
	return ret;
}

static void edu_remove(struct pci_dev *pdev)
{
	misc_deregister(&edu_misc);
	edu.pdev = NULL;
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e8) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name		= "edu",
	.id_table	= edu_ids,
	.probe		= edu_probe,
	.remove		= edu_remove,
};
module_pci_driver(edu_driver);

MODULE_DESCRIPTION("QEMU's educational device, as an importer of dma-bufs");
MODULE_LICENSE("GPL");
